"""HINT: its recursive coupling layer, its networks, and both for pairs of data and observation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..arrays.spec import ArraySpec
from ..functions.activations import ActivationFunction, SigmoidLayer
from ..functions.squeezers import ShuffleLayer, Squeezer
from .actnorm import ActNorm
from .base import arguments as check
from .base.flow import Flow
from .base.layer import ON_THE_CPU
from .base.pair import ConditionalPairFlow
from .base.shapes import ParameterShape, scales, within
from .base.summary import Shape, Step, scale_steps
from .conv1x1 import Conv1x1
from .coupling import CouplingLayerBasic


class CouplingLayerHINT(Flow):
    """The recursive coupling layer of HINT: halves of the channels are coupled, each within itself and then one with
    the other, down to two channels.

    The two halves of a level share their block. As upstream has it, `backward` gives a shared block the gradient of
    its last use alone, not the sum over its uses: with more than four channels the gradients of `CL[2]` and deeper
    are not those of the objective.

    Args:
        n_in: number of channels, a power of two from 2.
        n_hidden: number of hidden channels of the blocks.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        permute: where a 1x1 convolution mixes channels: `"none"`; `"lower"`: the second half before the coupling;
            `"full"`: all before it; `"both"`: all before it, and back after it.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        activation: of the scales.
        ndims: number of spatial axes, 1 to 3; 1 with more than four channels is for the NumPy engine only.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`.
    Parameters: `CL[1].RB.W1` … for each level, then `C.v1`, `C.v2`, `C.v3` where there is a permutation.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Kruse et al. (2021), «HINT: Hierarchical Invertible Neural Transport for Density Estimation and Bayesian
    Inference», https://arxiv.org/abs/1905.10687.
    """

    upstream = "src/layers/invertible_layer_hint.jl"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        logdet: bool = False,
        permute: str = "none",
        k1: int = 3,
        k2: int = 3,
        p1: int = 1,
        p2: int = 1,
        s1: int = 1,
        s2: int = 1,
        activation: ActivationFunction = SigmoidLayer(),
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.power_of_two("CouplingLayerHINT", n_in, 2)
        check.counts("CouplingLayerHINT", n_hidden=n_hidden)
        check.permutation("CouplingLayerHINT", permute)
        check.block("CouplingLayerHINT", k1, k2, p1, p2, s1, s2)
        check.flags("CouplingLayerHINT", logdet=logdet)
        check.scale_activation("CouplingLayerHINT", activation)
        check.spatial_axes("CouplingLayerHINT", ndims)
        space = ArraySpec(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create(engine, seed, space)

    @staticmethod
    def shapes(n_in: int, n_hidden: int, permute: str = "none", **options: Any) -> Iterator[ParameterShape]:
        level, channels = 1, n_in
        while level == 1 or channels > 2:
            channels //= 2
            yield from within(f"CL[{level}]", CouplingLayerBasic.shapes(channels, n_hidden, **options))
            level += 1
        if permute != "none":
            yield from within("C", Conv1x1.shapes(n_in // 2 if permute == "lower" else n_in))


class ConditionalLayerHINT(ConditionalPairFlow):
    """A HINT coupling layer for each of two arrays, and one that lets `Y` condition `X`.

    The gradients of blocks that are used more than once are upstream's; see `CouplingLayerHINT`.

    Args:
        n_in: number of channels of each array, a power of two from 2.
        n_hidden: number of hidden channels of the blocks.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        permute: whether a 1x1 convolution mixes the channels of each array first.
        ndims: number of spatial axes, 1 to 3; 1 with more than four channels is for the NumPy engine only.
        activation: of the scales.
        engine, seed: engine, and seed of the initial weights.

    Arrays: two of `(nx, [ny, [nz,]] n_in, n_samples)`.
    Parameters: `CL_X.CL[1].RB.W1` …, `CL_Y.CL[1].RB.W1` …, `CL_YX.RB.W1` …, `C_X.v1` …, `C_Y.v1` ….
    Raises: TypeError, ValueError for unfit arguments.
    Source: Kruse et al. (2021), «HINT: Hierarchical Invertible Neural Transport for Density Estimation and Bayesian
    Inference», https://arxiv.org/abs/1905.10687.
    """

    upstream = "src/conditional_layers/conditional_layer_hint.jl"

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
        logdet: bool = True,
        permute: bool = True,
        ndims: int = 2,
        activation: ActivationFunction = SigmoidLayer(),
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.power_of_two("ConditionalLayerHINT", n_in, 2)
        check.counts("ConditionalLayerHINT", n_hidden=n_hidden)
        check.block("ConditionalLayerHINT", k1, k2, p1, p2, s1, s2)
        check.flags("ConditionalLayerHINT", logdet=logdet, permute=permute)
        check.scale_activation("ConditionalLayerHINT", activation)
        check.spatial_axes("ConditionalLayerHINT", ndims)
        space = ArraySpec(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create(engine, seed, space)

    @staticmethod
    def shapes(n_in: int, n_hidden: int, permute: bool = True, **options: Any) -> Iterator[ParameterShape]:
        for name in ("CL_X", "CL_Y"):
            yield from within(name, CouplingLayerHINT.shapes(n_in, n_hidden, **options))
        yield from within("CL_YX", CouplingLayerBasic.shapes(n_in, n_hidden, **options))
        for name in ("C_X", "C_Y") if permute else ():
            yield from within(name, Conv1x1.shapes(n_in))


class NetworkConditionalHINT(ConditionalPairFlow):
    """Flow steps over two arrays: an `ActNorm` for each, and a `ConditionalLayerHINT`.

    The gradients of blocks that are used more than once are upstream's; see `CouplingLayerHINT`.

    Args:
        n_in: number of channels of each array, a power of two from 2.
        n_hidden: number of hidden channels of the residual blocks.
        depth: number of flow steps.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        ndims: number of spatial axes, 1 to 3; 1 with more than four channels is for the NumPy engine only.
        activation: of the scales.
        engine, seed: engine, and seed of the initial weights.

    Arrays: two of `(nx, [ny, [nz,]] n_in, n_samples)`.
    Parameters: `AN_X[i].s`, `AN_X[i].b`, `AN_Y[i].s`, `AN_Y[i].b`, and those of the layers `CL[i]`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Kruse et al. (2021), «HINT: Hierarchical Invertible Neural Transport for Density Estimation and Bayesian
    Inference», https://arxiv.org/abs/1905.10687.
    """

    upstream = "src/networks/invertible_network_conditional_hint.jl"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        depth: int,
        *,
        k1: int = 3,
        k2: int = 3,
        p1: int = 1,
        p2: int = 1,
        s1: int = 1,
        s2: int = 1,
        logdet: bool = True,
        ndims: int = 2,
        activation: ActivationFunction = SigmoidLayer(),
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.power_of_two("NetworkConditionalHINT", n_in, 2)
        check.counts("NetworkConditionalHINT", n_hidden=n_hidden, depth=depth)
        check.block("NetworkConditionalHINT", k1, k2, p1, p2, s1, s2)
        check.flags("NetworkConditionalHINT", logdet=logdet)
        check.scale_activation("NetworkConditionalHINT", activation)
        check.spatial_axes("NetworkConditionalHINT", ndims)
        space = ArraySpec(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create(engine, seed, space)

    @staticmethod
    def shapes(n_in: int, depth: int, **options: Any) -> Iterator[ParameterShape]:
        for i in range(1, depth + 1):
            yield from _step_shapes(str(i), n_in, **options)

    def steps(self, shape: Shape) -> list[Step]:
        return [
            step
            for i in range(1, self._declared["depth"] + 1)
            for step in (
                Step("ActNorm", f"AN_X[{i}]", shape),
                Step("ActNorm", f"AN_Y[{i}]", shape),
                Step("ConditionalLayerHINT", f"CL[{i}]", shape, 2, ends=True),
            )
        ]


class NetworkMultiScaleHINT(Flow):
    """`L` scales of `K` flow steps, each an `ActNorm` and a `CouplingLayerHINT` with `permute="full"`. Each scale
    starts by a wavelet transform that moves half of each spatial axis into channels.

    With `split_scales`, half of the channels go to the latent after each scale but the last; the latent is then a
    flat vector of the whole batch. The gradients of blocks that are used more than once are upstream's; see
    `CouplingLayerHINT`.

    Args:
        n_in: number of channels, a power of two from 1.
        n_hidden: number of hidden channels of the residual blocks.
        L: number of scales. Each spatial size must be a multiple of `2**L`.
        K: number of flow steps per scale.
        split_scales: see above. With `L=1` it is for the NumPy engine only.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        activation: of the scales.
        ndims: number of spatial axes, 1 to 3; others than 2 are for the NumPy engine only.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `X` `(nx, [ny, [nz,]] n_in, n_samples)`; the latent, unless split, has `2**(ndims L)` times the channels.
    Parameters: `AN[i,j].s`, `AN[i,j].b`, and those of the layers `CL[i,j]`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Kruse et al. (2021), «HINT: Hierarchical Invertible Neural Transport for Density Estimation and Bayesian
    Inference», https://arxiv.org/abs/1905.10687.
    """

    upstream = "src/networks/invertible_network_hint_multiscale.jl"
    _no_gpu = ON_THE_CPU

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        L: int,
        K: int,
        *,
        split_scales: bool = False,
        k1: int = 3,
        k2: int = 3,
        p1: int = 1,
        p2: int = 1,
        s1: int = 1,
        s2: int = 1,
        activation: ActivationFunction = SigmoidLayer(),
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.power_of_two("NetworkMultiScaleHINT", n_in, 1)
        check.counts("NetworkMultiScaleHINT", n_hidden=n_hidden, L=L, K=K)
        check.flags("NetworkMultiScaleHINT", split_scales=split_scales)
        check.block("NetworkMultiScaleHINT", k1, k2, p1, p2, s1, s2)
        check.scale_activation("NetworkMultiScaleHINT", activation)
        check.spatial_axes("NetworkMultiScaleHINT", ndims)
        data, latent = _scales(n_in, L, ndims, split_scales, check.smallest_size(k1, p1))
        self._create(engine, seed, data, latent, splits=L - 1 if split_scales else 0, logdet=True)

    @staticmethod
    def shapes(n_in: int, L: int, K: int, split_scales: bool, ndims: int, **options: Any) -> Iterator[ParameterShape]:
        for i, channels in scales(n_in, L, True, split_scales, ndims):
            for j in range(1, K + 1):
                yield from within(f"AN[{i},{j}]", ActNorm.shapes(channels))
                coupling = CouplingLayerHINT.shapes(channels, permute="full", ndims=ndims, **options)
                yield from within(f"CL[{i},{j}]", coupling)

    def steps(self, shape: Shape) -> list[Step]:
        fields = {"AN": "ActNorm", "CL": "CouplingLayerHINT"}
        return scale_steps(self, shape, self._declared["L"], self._declared["K"], "WaveletLayer", fields)


class NetworkMultiScaleConditionalHINT(ConditionalPairFlow):
    """`L` scales of `K` flow steps over two arrays, each an `ActNorm` for each array and a `ConditionalLayerHINT`. Each
    scale starts by squeezing both.

    With `split_scales`, half of the channels go to the latents after each scale but the last; the latents are then
    flat vectors of the whole batch. The gradients of blocks that are used more than once are upstream's; see
    `CouplingLayerHINT`.

    Args:
        n_in: number of channels of each array, a power of two from 1.
        n_hidden: number of hidden channels of the residual blocks.
        L: number of scales. Each spatial size must be a multiple of `2**L`.
        K: number of flow steps per scale.
        split_scales: see above. With `L=1` it is for the NumPy engine only.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        ndims: number of spatial axes, 1 to 3; others than 2 are for the NumPy engine only.
        squeezer: `ShuffleLayer()`, `WaveletLayer()` or `HaarLayer()`.
        activation: of the scales.
        engine, seed: engine, and seed of the initial weights.

    Arrays: two of `(nx, [ny, [nz,]] n_in, n_samples)`; the latents, unless split, have `2**(ndims L)` times the
    channels.
    Parameters: `AN_X[i,j].s`, `AN_X[i,j].b`, `AN_Y[i,j].s`, `AN_Y[i,j].b`, and those of the layers `CL[i,j]`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Kruse et al. (2021), «HINT: Hierarchical Invertible Neural Transport for Density Estimation and Bayesian
    Inference», https://arxiv.org/abs/1905.10687.
    """

    upstream = "src/networks/invertible_network_conditional_hint_multiscale.jl"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        L: int,
        K: int,
        *,
        split_scales: bool = False,
        k1: int = 3,
        k2: int = 3,
        p1: int = 1,
        p2: int = 1,
        s1: int = 1,
        s2: int = 1,
        logdet: bool = True,
        ndims: int = 2,
        squeezer: Squeezer = ShuffleLayer(),
        activation: ActivationFunction = SigmoidLayer(),
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.power_of_two("NetworkMultiScaleConditionalHINT", n_in, 1)
        check.counts("NetworkMultiScaleConditionalHINT", n_hidden=n_hidden, L=L, K=K)
        check.flags("NetworkMultiScaleConditionalHINT", split_scales=split_scales, logdet=logdet)
        check.block("NetworkMultiScaleConditionalHINT", k1, k2, p1, p2, s1, s2)
        check.squeezing("NetworkMultiScaleConditionalHINT", squeezer)
        check.scale_activation("NetworkMultiScaleConditionalHINT", activation)
        check.spatial_axes("NetworkMultiScaleConditionalHINT", ndims)
        data, latent = _scales(n_in, L, ndims, split_scales, check.smallest_size(k1, p1))
        self._create(engine, seed, data, latent, splits=L - 1 if split_scales else 0)

    @staticmethod
    def shapes(n_in: int, L: int, K: int, split_scales: bool, ndims: int, **options: Any) -> Iterator[ParameterShape]:
        for i, channels in scales(n_in, L, True, split_scales, ndims):
            for j in range(1, K + 1):
                yield from _step_shapes(f"{i},{j}", channels, ndims=ndims, **options)

    def steps(self, shape: Shape) -> list[Step]:
        given, fields = self._declared, {"AN_X": "ActNorm", "AN_Y": "ActNorm", "CL": "ConditionalLayerHINT"}
        return scale_steps(self, shape, given["L"], given["K"], type(given["squeezer"]).__name__, fields)


def _scales(n_in: int, L: int, ndims: int, split_scales: bool, smallest: int) -> tuple[ArraySpec, ArraySpec]:
    """Data that is squeezed `L` times, and its latent."""
    data = ArraySpec(n_in, ndims, 2**L, minimum=2**L * smallest)
    if split_scales:
        return data, ArraySpec(n_in, vector=True)
    return data, ArraySpec(n_in << (ndims * L), ndims, minimum=smallest)


def _step_shapes(index: str, n_in: int, **options: Any) -> Iterator[ParameterShape]:
    yield from within(f"AN_X[{index}]", ActNorm.shapes(n_in))
    yield from within(f"AN_Y[{index}]", ActNorm.shapes(n_in))
    yield from within(f"CL[{index}]", ConditionalLayerHINT.shapes(n_in, **options))
