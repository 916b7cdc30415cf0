"""The affine coupling layer over two arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..arrays.spec import ArraySpec
from ..functions.activations import ActivationFunction, SigmoidLayer
from .base import arguments as check
from .base.pair import PairFlow
from .base.shapes import ParameterShape, within
from .residual import ResidualBlock


class CouplingLayerBasic(PairFlow):
    """The affine coupling layer over two arrays: `X` stays, `Y` is scaled and shifted by what a residual block makes
    of `X`.

    Args:
        n_in: number of channels of each array.
        n_hidden: number of hidden channels of the block.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the block; see `ResidualBlock`.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        activation: of the scale.
        ndims: number of spatial axes, 1 to 3.
        engine, seed: engine, and seed of the initial weights.

    Arrays: two of `(nx, [ny, [nz,]] n_in, n_samples)`; upstream calls them `X1` and `X2`.
    Parameters: those of the block, `RB.W1` and so on.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Dinh et al. (2017), «Density estimation using Real NVP», https://arxiv.org/abs/1605.08803.
    """

    upstream = "src/layers/invertible_layer_basic.jl"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        k1: int = 3,
        k2: int = 3,
        p1: int = 1,
        p2: int = 1,
        s1: int = 1,
        s2: int = 1,
        logdet: bool = False,
        activation: ActivationFunction = SigmoidLayer(),
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("CouplingLayerBasic", n_in=n_in, n_hidden=n_hidden)
        check.block("CouplingLayerBasic", k1, k2, p1, p2, s1, s2)
        check.flags("CouplingLayerBasic", logdet=logdet)
        check.scale_activation("CouplingLayerBasic", activation)
        check.spatial_axes("CouplingLayerBasic", ndims)
        self._create(engine, seed, ArraySpec(n_in, ndims, minimum=check.smallest_size(k1, p1)))

    @staticmethod
    def shapes(n_in: int, n_hidden: int, **options: Any) -> Iterator[ParameterShape]:
        return within("RB", ResidualBlock.shapes(n_in, n_hidden, **options))
