"""Flows of spline couplings: the coupling layer, the network, and the network with a condition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..arrays.spec import ArraySpec
from ..functions.squeezers import ShuffleLayer, Squeezer
from .actnorm import ActNorm
from .base import arguments as check
from .base.conditional import ConditionalFlow
from .base.flow import Flow
from .base.shapes import ParameterShape, scales, within
from .base.summary import Shape, Step, scale_steps
from .conv1x1 import Conv1x1
from .residual import ResidualBlock

ON_THE_CPU = "its splines are computed on the CPU; leave it there"


class CouplingLayerSpline(Flow):
    """A spline coupling layer: a 1x1 convolution, then each element of half of the channels through a monotonic
    rational-quadratic spline of its own, which a residual block makes of the other half.

    A spline maps the interval from `-bound` to `bound` onto itself by `n_bins` pieces; outside it is the identity. The
    widths and heights of its bins are a softmax, at least a thousandth of the interval each; its slopes at the knots
    between bins are a softplus, at least a thousandth, and one at both ends. The block ends in its third convolution,
    which is zero at first: then the splines are the identity, and the layer its 1x1 convolution.

    Args:
        n_in: number of channels, two or more; of an odd number the smaller or larger half is changed as for
            `CouplingLayerGlow`.
        n_hidden: number of hidden channels of the block.
        n_bins: number of bins of each spline, 2 to 500.
        bound: the interval's end, positive.
        freeze_conv: whether the 1x1 convolution is not trained.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the block; see `ResidualBlock`.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        ndims: number of spatial axes, 1 to 3.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`.
    Parameters: `C.v1`, `C.v2`, `C.v3`, and those of the block, `RB.W1` and so on. Of the channels that `RB.W3` gives,
    `3 n_bins - 1` for each channel that is changed, the slopes of all these channels come first, then the widths, then
    the heights, each bin after bin.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Durkan et al. (2019), «Neural Spline Flows», https://arxiv.org/abs/1906.04032.
    """

    upstream = "none"
    _no_gpu = ON_THE_CPU

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        n_bins: int = 8,
        bound: float = 5.0,
        freeze_conv: bool = False,
        k1: int = 3,
        k2: int = 1,
        p1: int = 1,
        p2: int = 0,
        s1: int = 1,
        s2: int = 1,
        logdet: bool = False,
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("CouplingLayerSpline", 2, n_in=n_in)
        check.counts("CouplingLayerSpline", n_hidden=n_hidden)
        check.splines("CouplingLayerSpline", n_bins, bound)
        check.block("CouplingLayerSpline", k1, k2, p1, p2, s1, s2)
        check.flags("CouplingLayerSpline", freeze_conv=freeze_conv, logdet=logdet)
        check.spatial_axes("CouplingLayerSpline", ndims)
        self._create(engine, seed, ArraySpec(n_in, ndims, minimum=check.smallest_size(k1, p1)))

    @staticmethod
    def shapes(n_in: int, n_hidden: int, n_bins: int, n_cond: int = 0, **options: Any) -> Iterator[ParameterShape]:
        changed = round(n_in / 2)
        yield from within("C", Conv1x1.shapes(n_in))
        n_out = changed * (3 * n_bins - 1)
        yield from within("RB", ResidualBlock.shapes(n_in - changed + n_cond, n_hidden, n_out=n_out, **options))


class NetworkSpline(Flow):
    """A neural spline flow: GLOW with splines, `L` scales of `K` flow steps, each an `ActNorm` and a
    `CouplingLayerSpline`. It fits densities with several modes or sharp edges in fewer steps than GLOW.

    Args:
        n_in: number of channels. One channel implies `split_scales`.
        n_hidden: number of hidden channels of the residual blocks.
        L: number of scales.
        K: number of flow steps per scale.
        n_bins: number of bins of each spline, 2 to 500.
        bound: the splines change what is between `-bound` and `bound`; outside they are the identity.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        freeze_conv: whether the 1x1 convolutions are not trained.
        split_scales: see `NetworkGlow`. Each spatial size must then be a multiple of `2**L`.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        ndims: number of spatial axes, 1 to 3.
        squeezer: `ShuffleLayer()`, `WaveletLayer()` or `HaarLayer()`.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`; with `split_scales` the latent is a flat vector, as for `NetworkGlow`.
    Parameters: `AN[i,j].s`, `AN[i,j].b`, `CL[i,j].C.v1` … `CL[i,j].RB.b2`, for scale `i` and step `j`, from 1.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Durkan et al. (2019), «Neural Spline Flows», https://arxiv.org/abs/1906.04032; Kingma and Dhariwal (2018),
    https://arxiv.org/abs/1807.03039.

    >>> import pyinvnets as inv
    >>> G = inv.NetworkSpline(2, 16, 1, 4, engine="numpy", seed=1)
    >>> Z, lgdet = G.forward(inv.sample_banana(150, seed=1, engine="numpy"))
    >>> Z.shape, G.sample(1000, seed=2).shape
    ((1, 1, 2, 150), (1, 1, 2, 1000))
    """

    upstream = "none"
    _no_gpu = ON_THE_CPU

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        L: int,
        K: int,
        *,
        n_bins: int = 8,
        bound: float = 5.0,
        logdet: bool = True,
        freeze_conv: bool = False,
        split_scales: bool = False,
        k1: int = 3,
        k2: int = 1,
        p1: int = 1,
        p2: int = 0,
        s1: int = 1,
        s2: int = 1,
        ndims: int = 2,
        squeezer: Squeezer = ShuffleLayer(),
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("NetworkSpline", n_in=n_in, n_hidden=n_hidden, L=L, K=K)
        check.splines("NetworkSpline", n_bins, bound)
        check.block("NetworkSpline", k1, k2, p1, p2, s1, s2)
        check.flags("NetworkSpline", logdet=logdet, freeze_conv=freeze_conv, split_scales=split_scales)
        check.spatial_axes("NetworkSpline", ndims)
        check.squeezing("NetworkSpline", squeezer)
        splits = split_scales or n_in == 1
        factor = 2**L if splits else 1
        data = ArraySpec(n_in, ndims, factor, minimum=factor * check.smallest_size(k1, p1))
        latent = ArraySpec(n_in, vector=True) if splits else data
        self._create(engine, seed, data, latent, splits=max(L - 1, 1) if splits else 0)

    @staticmethod
    def shapes(n_in: int, L: int, K: int, split_scales: bool, ndims: int, **options: Any) -> Iterator[ParameterShape]:
        splits = split_scales or n_in == 1
        for i, channels in scales(n_in, L, splits, splits, ndims):
            for j in range(1, K + 1):
                yield from within(f"AN[{i},{j}]", ActNorm.shapes(channels))
                yield from within(f"CL[{i},{j}]", CouplingLayerSpline.shapes(channels, ndims=ndims, **options))

    def steps(self, shape: Shape) -> list[Step]:
        given = self._declared
        squeezer = type(given["squeezer"]).__name__ if self.signature.splits else None
        fields = {"AN": "ActNorm", "CL": "CouplingLayerSpline"}
        return scale_steps(self, shape, given["L"], given["K"], squeezer, fields)


class NetworkConditionalSpline(ConditionalFlow):
    """A neural spline flow whose coupling layers also see a condition.

    `forward` returns `(Z, C_, lgdet)`: `Z` has X's shape, `C_` is the condition after its own ActNorm and squeezes.
    `inverse` and `backward` take this `C_`, not the condition itself. The latent's memory is that of
    `NetworkConditionalGlow`.

    Args:
        n_in: number of channels, two or more without `split_scales`.
        n_cond: number of channels of the condition.
        n_hidden: number of hidden channels of the residual blocks.
        L: number of scales.
        K: number of flow steps per scale.
        n_bins: number of bins of each spline, 2 to 500.
        bound: the splines change what is between `-bound` and `bound`; outside they are the identity.
        freeze_conv: whether the 1x1 convolutions are not trained.
        split_scales: see `NetworkConditionalGlow`. Each spatial size must then be a multiple of `2**L`. With `L=1` it
            is for the NumPy engine only.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        ndims: number of spatial axes, 1 to 3.
        squeezer: `ShuffleLayer()`, `WaveletLayer()` or `HaarLayer()`.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `X` `(nx, [ny, [nz,]] n_in, n_samples)`, `C` `(nx, [ny, [nz,]] n_cond, n_samples)`.
    Parameters: `AN[i,j].s`, `AN[i,j].b`, `AN_C.s`, `AN_C.b`, `CL[i,j].C.v1` … `CL[i,j].RB.b2`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Durkan et al. (2019), «Neural Spline Flows», https://arxiv.org/abs/1906.04032; Ardizzone et al. (2019),
    «Guided image generation with conditional invertible neural networks», https://arxiv.org/abs/1907.02392.
    """

    upstream = "none"
    _no_gpu = ON_THE_CPU

    def __init__(
        self,
        n_in: int,
        n_cond: int,
        n_hidden: int,
        L: int,
        K: int,
        *,
        n_bins: int = 8,
        bound: float = 5.0,
        freeze_conv: bool = False,
        split_scales: bool = False,
        k1: int = 3,
        k2: int = 1,
        p1: int = 1,
        p2: int = 0,
        s1: int = 1,
        s2: int = 1,
        ndims: int = 2,
        squeezer: Squeezer = ShuffleLayer(),
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.flags("NetworkConditionalSpline", freeze_conv=freeze_conv, split_scales=split_scales)
        check.counts("NetworkConditionalSpline", 1 if split_scales else 2, n_in=n_in)
        check.counts("NetworkConditionalSpline", n_cond=n_cond, n_hidden=n_hidden, L=L, K=K)
        check.splines("NetworkConditionalSpline", n_bins, bound)
        check.block("NetworkConditionalSpline", k1, k2, p1, p2, s1, s2)
        check.spatial_axes("NetworkConditionalSpline", ndims)
        check.squeezing("NetworkConditionalSpline", squeezer)
        self._squeezes = L if split_scales else 0
        factor = 2**self._squeezes
        data = ArraySpec(n_in, ndims, factor, minimum=factor * check.smallest_size(k1, p1))
        squeezed = ArraySpec(n_cond << (self._squeezes * ndims), ndims)
        splits = L - 1 if split_scales else 0
        self._create(engine, seed, data, ArraySpec(n_cond, ndims), squeezed, splits=splits, logdet=True)

    @staticmethod
    def shapes(
        n_in: int, n_cond: int, L: int, K: int, split_scales: bool, ndims: int, **options: Any
    ) -> Iterator[ParameterShape]:
        yield from within("AN_C", ActNorm.shapes(n_cond))
        for i, channels in scales(n_in, L, split_scales, split_scales, ndims):
            if split_scales:
                n_cond <<= ndims
            for j in range(1, K + 1):
                yield from within(f"AN[{i},{j}]", ActNorm.shapes(channels))
                coupling = CouplingLayerSpline.shapes(channels, n_cond=n_cond, ndims=ndims, **options)
                yield from within(f"CL[{i},{j}]", coupling)

    def latent_condition_size(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(n >> self._squeezes for n in spatial)

    def steps(self, shape: Shape) -> list[Step]:
        given = self._declared
        squeezer = type(given["squeezer"]).__name__ if self._squeezes else None
        fields = {"AN": "ActNorm", "CL": "CouplingLayerSpline"}
        joined = [Step("join", None, shape)] if self._squeezes else []
        return [
            Step("ActNorm", "AN_C", self.input_shapes(shape)["C"]),
            *scale_steps(self, shape, given["L"], given["K"], squeezer, fields),
            *joined,
        ]
