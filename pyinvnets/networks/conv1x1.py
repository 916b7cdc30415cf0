"""The orthogonal 1x1 convolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..arrays.spec import ArraySpec
from .base import arguments as check
from .base.flow import Flow
from .base.shapes import ParameterShape


class Conv1x1(Flow):
    """A 1x1 convolution by an orthogonal matrix, the product of three Householder reflections.

    `backward` adds to the gradients of `v1`, `v2`, `v3`, as upstream does: call `clear_grad` after each update.

    Args:
        k: number of channels.
        freeze: whether the gradients stay zero.
        logdet: whether `forward` returns the log-determinant too, which is zero.
        engine, seed: engine, and seed of the initial vectors.

    Arrays: `(nx, [ny, [nz,]] k, n_samples)`.
    Parameters: `v1`, `v2`, `v3`, shape `(k,)`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Putzky and Welling (2019), «Invert to Learn to Invert», https://arxiv.org/abs/1911.10914.
    """

    upstream = "src/layers/invertible_layer_conv1x1.jl"
    _keeps_volume = True

    def __init__(
        self, k: int, *, freeze: bool = False, logdet: bool = False, engine: str | None = None, seed: int | None = None
    ) -> None:
        check.counts("Conv1x1", k=k)
        check.flags("Conv1x1", freeze=freeze, logdet=logdet)
        self._create(engine, seed, ArraySpec(channels=k))

    @staticmethod
    def shapes(k: int, **_: Any) -> Iterator[ParameterShape]:
        for name in ("v1", "v2", "v3"):
            yield ParameterShape(name, (k,))
