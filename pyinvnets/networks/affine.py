"""A scale and a bias for every pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..arrays.spec import ArraySpec
from .base import arguments as check
from .base.flow import Flow
from .base.shapes import ParameterShape


class AffineLayer(Flow):
    """A scale and a bias for every pixel and channel: `Y = s X + b`.

    Args:
        nx, ny: image size.
        nc: number of channels.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        engine, seed: engine, and seed of the initial scale.

    Arrays: `(nx, ny, nc, n_samples)`.
    Parameters: `s`, `b`, shape `(nx, ny, nc)`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: upstream's own.
    """

    upstream = "src/layers/layer_affine.jl"

    def __init__(
        self,
        nx: int,
        ny: int,
        nc: int,
        *,
        logdet: bool = False,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("AffineLayer", nx=nx, ny=ny, nc=nc)
        check.flags("AffineLayer", logdet=logdet)
        self._create(engine, seed, ArraySpec(nc, 2, spatial=(nx, ny)))

    @staticmethod
    def shapes(nx: int, ny: int, nc: int, **_: Any) -> Iterator[ParameterShape]:
        yield ParameterShape("s", (nx, ny, nc))
        yield ParameterShape("b", (nx, ny, nc))
