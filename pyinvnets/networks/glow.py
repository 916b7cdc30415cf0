"""GLOW: its coupling layer, its network, and both with a condition."""

from __future__ import annotations

from ..arrays.spec import Space
from ..functions.activations import ActivationFunction, ReLUlayer, SigmoidLayer
from ..functions.squeezers import ShuffleLayer, Squeezer
from .base import arguments as check
from .base.conditional import Conditional
from .base.flow import OneLane, OneLaneJacobian


class CouplingLayerGlow(OneLane, OneLaneJacobian):
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
            space = Space(n_in, 1, spatial=(nx,))
        else:
            space = Space(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create(engine, seed, space)


class ConditionalLayerGlow(Conditional):
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
    _transforms_condition = False

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
        data = Space(n_in, ndims, minimum=check.smallest_size(k1, p1))
        self._create_conditional(engine, seed, data, n_cond)


class NetworkGlow(OneLane, OneLaneJacobian):
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
        self._splits = max(L - 1, 1) if splits else 0
        factor = 2**L if splits else 1
        if dense and splits and (ndims != 1 or nx % factor):
            raise ValueError(
                f"NetworkGlow: dense=True with split_scales needs ndims=1 and nx a multiple of 2**L = {factor}, got "
                f"ndims={ndims}, nx={nx}"
            )
        if dense:
            data = Space(n_in, 1, factor, spatial=(nx,))
        else:
            data = Space(n_in, ndims, factor, minimum=factor * check.smallest_size(k1, p1))
        only_numpy = check.squeeze_on_a_line(squeezer, ndims, splits)
        self._create(engine, seed, data, Space(n_in, vector=True) if splits else None, only_numpy=only_numpy)


class NetworkConditionalGlow(Conditional):
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
        self._scales = L if split_scales else 0
        self._splits = L - 1 if split_scales else 0
        factor = 2**self._scales
        data = Space(n_in, ndims, factor, minimum=factor * check.smallest_size(k1, p1))
        one_scale = "split_scales=True with L=1" if split_scales and L == 1 else None
        only_numpy = one_scale or check.squeeze_on_a_line(squeezer, ndims, split_scales)
        self._create_conditional(engine, seed, data, n_cond, only_numpy=only_numpy)
