"""HINT: its recursive coupling layer, its networks, and both for pairs of data and observation."""

from __future__ import annotations

from ..arrays.spec import Space
from ..engines.julia.gpu import ON_THE_CPU
from ..functions.activations import ActivationFunction, SigmoidLayer
from ..functions.squeezers import ShuffleLayer, Squeezer
from .base import arguments as check
from .base.flow import OneLane, OneLaneJacobian
from .base.pair import ConditionalHINT, TwoLanesJacobian


class CouplingLayerHINT(OneLane, OneLaneJacobian):
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
        space = Space(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create(engine, seed, space, only_numpy=check.deep_hint_on_a_line(n_in, ndims))


class ConditionalLayerHINT(ConditionalHINT, TwoLanesJacobian):
    """A HINT coupling layer for each of two lanes, and one that lets `Y` condition `X`.

    The gradients of blocks that are used more than once are upstream's; see `CouplingLayerHINT`.

    Args:
        n_in: number of channels of each lane, a power of two from 2.
        n_hidden: number of hidden channels of the blocks.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        permute: whether a 1x1 convolution mixes the channels of each lane first.
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
        space = Space(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create(engine, seed, space, only_numpy=check.deep_hint_on_a_line(n_in, ndims))


class NetworkConditionalHINT(ConditionalHINT, TwoLanesJacobian):
    """Flow steps over two lanes: an `ActNorm` for each, and a `ConditionalLayerHINT`.

    The gradients of blocks that are used more than once are upstream's; see `CouplingLayerHINT`.

    Args:
        n_in: number of channels of each lane, a power of two from 2.
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
        space = Space(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create(engine, seed, space, only_numpy=check.deep_hint_on_a_line(n_in, ndims))


class NetworkMultiScaleHINT(OneLane, OneLaneJacobian):
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
        self._splits = L - 1 if split_scales else 0
        data, latent = _scales(n_in, L, ndims, split_scales, check.smallest_size(k1, p1))
        self._create(engine, seed, data, latent, only_numpy=_unscalable(L, ndims, split_scales))


class NetworkMultiScaleConditionalHINT(ConditionalHINT, TwoLanesJacobian):
    """`L` scales of `K` flow steps over two lanes, each an `ActNorm` for each lane and a `ConditionalLayerHINT`. Each
    scale starts by squeezing both lanes.

    With `split_scales`, half of the channels go to the latents after each scale but the last; the latents are then
    flat vectors of the whole batch. The gradients of blocks that are used more than once are upstream's; see
    `CouplingLayerHINT`.

    Args:
        n_in: number of channels of each lane, a power of two from 1.
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
        self._splits = L - 1 if split_scales else 0
        data, latent = _scales(n_in, L, ndims, split_scales, check.smallest_size(k1, p1))
        self._create(engine, seed, data, latent, only_numpy=_unscalable(L, ndims, split_scales))


def _scales(n_in: int, L: int, ndims: int, split_scales: bool, smallest: int) -> tuple[Space, Space]:
    """Data that is squeezed `L` times, and its latent."""
    data = Space(n_in, ndims, 2**L, minimum=2**L * smallest)
    if split_scales:
        return data, Space(n_in, vector=True)
    return data, Space(n_in << (ndims * L), ndims, minimum=smallest)


def _unscalable(L: int, ndims: int, split_scales: bool) -> str | None:
    """Upstream counts four channels for one after a squeeze, which is so on two spatial axes only."""
    if ndims != 2:
        return f"multiscale HINT with ndims={ndims}"
    return "split_scales=True with L=1" if split_scales and L == 1 else None
