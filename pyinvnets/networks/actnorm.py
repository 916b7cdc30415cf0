"""Activation normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..arrays.spec import ArraySpec
from .base import arguments as check
from .base.flow import Flow
from .base.shapes import ParameterShape


class ActNorm(Flow):
    """Activation normalisation: a scale and a bias for each channel, `Y = s X + b`.

    The first `forward` sets them from its batch, so that `Y` has zero mean and unit variance in each channel.

    Args:
        k: number of channels.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        engine: `"julia"`, `"numpy"` or `"auto"`; see `use_engine`.
        seed: has no effect here, since nothing is drawn.

    Arrays: `(nx, [ny, [nz,]] k, n_samples)`.
    Parameters: `s`, `b`, shape `(k,)`; `None` until the first `forward`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Kingma and Dhariwal (2018), «Glow: Generative Flow with Invertible 1x1 Convolutions»,
    https://arxiv.org/abs/1807.03039.
    """

    upstream = "src/layers/invertible_layer_actnorm.jl"

    def __init__(self, k: int, *, logdet: bool = False, engine: str | None = None, seed: int | None = None) -> None:
        check.counts("ActNorm", k=k)
        check.flags("ActNorm", logdet=logdet)
        self._create(engine, seed, ArraySpec(channels=k))

    @staticmethod
    def shapes(k: int, **_: Any) -> Iterator[ParameterShape]:
        yield ParameterShape("s", (k,), True)
        yield ParameterShape("b", (k,), True)
