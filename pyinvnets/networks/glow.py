"""GLOW: its coupling layer, its network, and both with a condition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..arrays.spec import ArraySpec
from ..functions.activations import ActivationFunction, ReLUlayer, SigmoidLayer
from ..functions.squeezers import ShuffleLayer, Squeezer
from .actnorm import ActNorm
from .base import arguments as check
from .base.conditional import ConditionalFlow
from .base.flow import Flow
from .base.shapes import ParameterShape, scales, within
from .base.summary import Shape, Step, scale_steps
from .conv1x1 import Conv1x1
from .residual import ResidualBlock


class CouplingLayerGlow(Flow):
    """The affine coupling layer of GLOW: a 1x1 convolution, then half of the channels scaled and shifted by what a
    residual block makes of the other half.

    Args:
        n_in: number of channels, two or more; of an odd number the smaller or larger half is changed as Julia rounds
            (3: two, 5: two).
        n_hidden: number of hidden channels of the block.
        nx: length of the images, for `dense=True`.
        dense: whether the block is three dense layers over arrays `(nx, n_in, n_samples)`.
        freeze_conv: whether the 1x1 convolution is not trained.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the block; see `ResidualBlock`.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        activation: of the scale.
        ndims: number of spatial axes, 1 to 3.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`.
    Parameters: `C.v1`, `C.v2`, `C.v3`, and those of the block, `RB.W1` and so on (`RB.params[1]` and so on if dense:
    weights and biases in turn).
    Raises: TypeError, ValueError for unfit arguments.
    Source: Dinh et al. (2017), «Density estimation using Real NVP», https://arxiv.org/abs/1605.08803; Kingma and
    Dhariwal (2018), https://arxiv.org/abs/1807.03039.
    """

    upstream = "src/layers/invertible_layer_glow.jl"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        nx: int | None = None,
        dense: bool = False,
        freeze_conv: bool = False,
        k1: int = 3,
        k2: int = 1,
        p1: int = 1,
        p2: int = 0,
        s1: int = 1,
        s2: int = 1,
        logdet: bool = False,
        activation: ActivationFunction = SigmoidLayer(),
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("CouplingLayerGlow", 2, n_in=n_in)
        check.counts("CouplingLayerGlow", n_hidden=n_hidden)
        check.block("CouplingLayerGlow", k1, k2, p1, p2, s1, s2)
        check.flags("CouplingLayerGlow", dense=dense, freeze_conv=freeze_conv, logdet=logdet)
        check.scale_activation("CouplingLayerGlow", activation)
        check.spatial_axes("CouplingLayerGlow", ndims)
        check.dense("CouplingLayerGlow", dense, nx)
        if dense:
            space = ArraySpec(n_in, 1, spatial=(nx,))
        else:
            space = ArraySpec(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create(engine, seed, space)

    @staticmethod
    def shapes(
        n_in: int, n_hidden: int, n_cond: int = 0, dense: bool = False, nx: int | None = None, **options: Any
    ) -> Iterator[ParameterShape]:
        yield from within("C", Conv1x1.shapes(n_in))
        changed = round(n_in / 2)
        if dense:
            block = _dense_shapes(nx, n_in - changed, n_in * n_hidden, 2 * changed)
        else:
            block = ResidualBlock.shapes(n_in - changed + n_cond, n_hidden, n_out=2 * changed, **options)
        yield from within("RB", block)


class ConditionalLayerGlow(ConditionalFlow):
    """The coupling layer of GLOW whose residual block also sees a condition.

    `forward` returns `Y`, or `(Y, lgdet)` with `logdet=True`. Unlike the network's, `inverse` and `backward` take the
    condition itself.

    Args:
        n_in: number of channels, two or more.
        n_cond: number of channels of the condition.
        n_hidden: number of hidden channels of the block.
        freeze_conv: whether the 1x1 convolution is not trained.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the block; see `ResidualBlock`.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        activation: of the scale.
        rb_activation: of the block, `ReLUlayer()` or `LeakyReLUlayer()`.
        ndims: number of spatial axes, 1 to 3.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `X` `(nx, [ny, [nz,]] n_in, n_samples)`, `C` `(nx, [ny, [nz,]] n_cond, n_samples)`.
    Parameters: `C.v1`, `C.v2`, `C.v3`, and those of the block, `RB.W1` and so on.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Ardizzone et al. (2019), «Guided image generation with conditional invertible neural networks»,
    https://arxiv.org/abs/1907.02392.
    """

    upstream = "src/conditional_layers/conditional_layer_glow.jl"
    returns_condition = False

    def __init__(
        self,
        n_in: int,
        n_cond: int,
        n_hidden: int,
        *,
        freeze_conv: bool = False,
        k1: int = 3,
        k2: int = 1,
        p1: int = 1,
        p2: int = 0,
        s1: int = 1,
        s2: int = 1,
        logdet: bool = False,
        activation: ActivationFunction = SigmoidLayer(),
        rb_activation: ActivationFunction = ReLUlayer(),
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("ConditionalLayerGlow", 2, n_in=n_in)
        check.counts("ConditionalLayerGlow", n_cond=n_cond, n_hidden=n_hidden)
        check.block("ConditionalLayerGlow", k1, k2, p1, p2, s1, s2)
        check.flags("ConditionalLayerGlow", freeze_conv=freeze_conv, logdet=logdet)
        check.scale_activation("ConditionalLayerGlow", activation)
        check.block_activation("ConditionalLayerGlow", rb_activation)
        check.spatial_axes("ConditionalLayerGlow", ndims)
        data = ArraySpec(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create(engine, seed, data, ArraySpec(n_cond, ndims))

    @staticmethod
    def shapes(n_in: int, n_cond: int, n_hidden: int, **options: Any) -> Iterator[ParameterShape]:
        return CouplingLayerGlow.shapes(n_in, n_hidden, n_cond=n_cond, **options)


class NetworkGlow(Flow):
    """GLOW: `L` scales of `K` flow steps, each an `ActNorm` and a `CouplingLayerGlow`.

    With `split_scales`, each scale starts by squeezing the image and ends by sending half of the channels to the
    latent, which is then a flat vector of the whole batch: first what left after the first scale, in Julia's order.

    Args:
        n_in: number of channels. One channel implies `split_scales`.
        n_hidden: number of hidden channels of the residual blocks.
        L: number of scales.
        K: number of flow steps per scale.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        nx: length of the images, for `dense=True`.
        dense: whether the blocks are dense layers, over arrays `(nx, n_channels, n_samples)`.
        freeze_conv: whether the 1x1 convolutions are not trained.
        split_scales: see above. Each spatial size must then be a multiple of `2**L`.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        ndims: number of spatial axes, 1 to 3.
        squeezer: `ShuffleLayer()`, `WaveletLayer()` or `HaarLayer()`.
        activation: of the coupling layers' scale.
        engine: `"julia"`, `"numpy"` or `"auto"`; see `use_engine`.
        seed: seed of the initial weights.

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`.
    Parameters: `AN[i,j].s`, `AN[i,j].b`, `CL[i,j].C.v1` … `CL[i,j].RB.b2`, for scale `i` and step `j`, from 1.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Kingma and Dhariwal (2018), «Glow: Generative Flow with Invertible 1x1 Convolutions»,
    https://arxiv.org/abs/1807.03039; Dinh et al. (2017), «Density estimation using Real NVP»,
    https://arxiv.org/abs/1605.08803.

    >>> import pyinvnets as inv
    >>> G = inv.NetworkGlow(2, 16, 1, 10, engine="numpy", seed=1)
    >>> G
    NetworkGlow(n_in=2, n_hidden=16, L=1, K=10, engine="numpy")
    >>> Z, lgdet = G.forward(inv.sample_banana(150, seed=1, engine="numpy"))
    >>> Z.shape
    (1, 1, 2, 150)
    >>> X = G.sample(1000, seed=2)
    >>> G.log_prob(X).shape
    (1000,)
    """

    upstream = "src/networks/invertible_network_glow.jl"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        L: int,
        K: int,
        *,
        logdet: bool = True,
        nx: int | None = None,
        dense: bool = False,
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
        activation: ActivationFunction = SigmoidLayer(),
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("NetworkGlow", n_in=n_in, n_hidden=n_hidden, L=L, K=K)
        check.block("NetworkGlow", k1, k2, p1, p2, s1, s2)
        check.flags("NetworkGlow", logdet=logdet, dense=dense, freeze_conv=freeze_conv, split_scales=split_scales)
        check.spatial_axes("NetworkGlow", ndims)
        check.squeezing("NetworkGlow", squeezer)
        check.scale_activation("NetworkGlow", activation)
        check.dense("NetworkGlow", dense, nx)
        splits = split_scales or n_in == 1
        factor = 2**L if splits else 1
        if dense and splits and (ndims != 1 or nx % factor):
            raise ValueError(
                f"NetworkGlow: dense=True with split_scales needs ndims=1 and nx a multiple of 2**L = {factor}, got "
                f"ndims={ndims}, nx={nx}"
            )
        if dense:
            data = ArraySpec(n_in, 1, factor, spatial=(nx,))
        else:
            data = ArraySpec(n_in, ndims, factor, minimum=factor * check.smallest_size(k1, p1))
        latent = ArraySpec(n_in, vector=True) if splits else data
        self._create(engine, seed, data, latent, splits=max(L - 1, 1) if splits else 0)

    @staticmethod
    def shapes(
        n_in: int, L: int, K: int, split_scales: bool, ndims: int, dense: bool, nx: int | None, **options: Any
    ) -> Iterator[ParameterShape]:
        splits = split_scales or n_in == 1
        for i, channels in scales(n_in, L, splits, splits, ndims):
            if dense and splits:
                nx //= 2
            for j in range(1, K + 1):
                yield from within(f"AN[{i},{j}]", ActNorm.shapes(channels))
                coupling = CouplingLayerGlow.shapes(channels, dense=dense, nx=nx, ndims=ndims, **options)
                yield from within(f"CL[{i},{j}]", coupling)

    def steps(self, shape: Shape) -> list[Step]:
        given = self._declared
        squeezer = type(given["squeezer"]).__name__ if self.signature.splits else None
        return scale_steps(self, shape, given["L"], given["K"], squeezer, {"AN": "ActNorm", "CL": "CouplingLayerGlow"})


class NetworkConditionalGlow(ConditionalFlow):
    """GLOW whose coupling layers also see a condition.

    `forward` returns `(Z, C_, lgdet)`: `Z` has X's shape, `C_` is the condition after its own ActNorm and squeezes.
    `inverse` and `backward` take this `C_`, not the condition itself.

    With `split_scales`, each scale squeezes the image and the condition and ends by sending half of the image's
    channels to the latent. As upstream has it, the latent's memory then holds what left after the first scale, of all
    samples, then what left after the second, and so on: `Z[..., i]` is *not* sample `i`, though `Z` has X's shape.

    Args:
        n_in: number of channels, two or more without `split_scales`.
        n_cond: number of channels of the condition.
        n_hidden: number of hidden channels of the residual blocks.
        L: number of scales.
        K: number of flow steps per scale.
        freeze_conv: whether the 1x1 convolutions are not trained.
        split_scales: see above. Each spatial size must then be a multiple of `2**L`. With `L=1` it is for the NumPy
            engine only.
        rb_activation: of the residual blocks, `ReLUlayer()` or `LeakyReLUlayer()`.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`.
        ndims: number of spatial axes, 1 to 3.
        squeezer: `ShuffleLayer()`, `WaveletLayer()` or `HaarLayer()`.
        activation: of the coupling layers' scale.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `X` `(nx, [ny, [nz,]] n_in, n_samples)`, `C` `(nx, [ny, [nz,]] n_cond, n_samples)`.
    Parameters: `AN[i,j].s`, `AN[i,j].b`, `AN_C.s`, `AN_C.b`, `CL[i,j].C.v1` … `CL[i,j].RB.b2`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Kingma and Dhariwal (2018), https://arxiv.org/abs/1807.03039; Ardizzone et al. (2019), «Guided image
    generation with conditional invertible neural networks», https://arxiv.org/abs/1907.02392.
    """

    upstream = "src/networks/invertible_network_conditional_glow.jl"

    def __init__(
        self,
        n_in: int,
        n_cond: int,
        n_hidden: int,
        L: int,
        K: int,
        *,
        freeze_conv: bool = False,
        split_scales: bool = False,
        rb_activation: ActivationFunction = ReLUlayer(),
        k1: int = 3,
        k2: int = 1,
        p1: int = 1,
        p2: int = 0,
        s1: int = 1,
        s2: int = 1,
        ndims: int = 2,
        squeezer: Squeezer = ShuffleLayer(),
        activation: ActivationFunction = SigmoidLayer(),
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.flags("NetworkConditionalGlow", freeze_conv=freeze_conv, split_scales=split_scales)
        check.counts("NetworkConditionalGlow", 1 if split_scales else 2, n_in=n_in)
        check.counts("NetworkConditionalGlow", n_cond=n_cond, n_hidden=n_hidden, L=L, K=K)
        check.block("NetworkConditionalGlow", k1, k2, p1, p2, s1, s2)
        check.spatial_axes("NetworkConditionalGlow", ndims)
        check.squeezing("NetworkConditionalGlow", squeezer)
        check.scale_activation("NetworkConditionalGlow", activation)
        check.block_activation("NetworkConditionalGlow", rb_activation)
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
                coupling = CouplingLayerGlow.shapes(channels, n_cond=n_cond, ndims=ndims, **options)
                yield from within(f"CL[{i},{j}]", coupling)

    def latent_condition_size(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(n >> self._squeezes for n in spatial)

    def steps(self, shape: Shape) -> list[Step]:
        given = self._declared
        squeezer = type(given["squeezer"]).__name__ if self._squeezes else None
        fields = {"AN": "ActNorm", "CL": "ConditionalLayerGlow"}
        joined = [Step("join", None, shape)] if self._squeezes else []
        return [
            Step("ActNorm", "AN_C", self.input_shapes(shape)["C"]),
            *scale_steps(self, shape, given["L"], given["K"], squeezer, fields),
            *joined,
        ]


def _dense_shapes(nx: int, n_in: int, n_hidden: int, n_out: int) -> Iterator[ParameterShape]:
    sizes = (nx * n_in, n_hidden, n_hidden, nx * n_out)
    for i in range(3):
        yield ParameterShape(f"params[{2 * i + 1}]", (sizes[i + 1], sizes[i]))
        yield ParameterShape(f"params[{2 * i + 2}]", (sizes[i + 1],))
