"""The networks: each class declares the constructor, the arrays it takes, its source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import constructors as check
from .activations import ActivationFunction, ReLUlayer, ShuffleLayer, SigmoidLayer, Squeezer
from .arrays import Space, checked
from .density import NoDensity
from .devices import ON_THE_CPU
from .invertible import Invertible, OneLane
from .jacobians import OneLaneJacobian, TwoLanesJacobian
from .lanes import Conditional, ConditionalHINT, TwoLanes


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


class NetworkHyperbolic(TwoLanes, TwoLanesJacobian):
    """Hyperbolic layers in turn. The network keeps volumes, so its log-determinant is zero; `forward` returns 1.0 for
    it, as upstream does.

    Args:
        n_in: number of channels of each state.
        architecture: a pair `(action, n_hidden)` for each layer, such as `((-1, 8), (0, 8), (1, 4))`: actions as in
            `HyperbolicLayer`, and numbers of hidden channels.
        k, s, p: kernel, stride and padding of the convolutions.
        logdet: has no effect, as in upstream.
        alpha: step size, rounded to 32 bits as upstream holds it.
        ndims: number of spatial axes, 2 or 3; 1 is for the NumPy engine only.
        engine, seed: engine, and seed of the initial weights.

    Arrays: two of `(nx, [ny, [nz,]] n_in, n_samples)`, the states `X_prev` and `X_curr`.
    Parameters: `HL[i].W`, `HL[i].b`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Lensink, Peters and Haber (2022), «Fully hyperbolic convolutional neural networks»,
    https://arxiv.org/abs/1905.10484.
    """

    upstream = "src/networks/invertible_network_hyperbolic.jl"
    _keeps_volume = True

    def __init__(
        self,
        n_in: int,
        architecture: tuple[tuple[int, int], ...],
        *,
        k: int = 3,
        s: int = 1,
        p: int = 1,
        logdet: bool = True,
        alpha: float = 1.0,
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("NetworkHyperbolic", n_in=n_in, k=k, s=s)
        check.counts("NetworkHyperbolic", 0, p=p)
        check.flags("NetworkHyperbolic", logdet=logdet)
        check.spatial_axes("NetworkHyperbolic", ndims)
        check.step_size("NetworkHyperbolic", alpha)
        architecture = check.architecture("NetworkHyperbolic", architecture, n_in, ndims)
        self.arguments["architecture"] = architecture
        actions = [action for action, _ in architecture]
        data, latent = check.hyperbolic_spaces(n_in, actions, check.smallest_size(k, p), ndims)
        self._create(engine, seed, data, latent, only_numpy="ndims=1" if ndims == 1 else None)


class NetworkLoop(NoDensity, Invertible):
    """The invertible recurrent inference machine (i-RIM): an unrolled loop that solves `A psi(eta) = d` for the image
    `eta`, with a state `s` beside it. Each turn adds the normalised gradient `A' (A psi(eta) - d)` to the first
    channel of `s`, then couples both.

    As upstream has it, `backward` leaves the derivative of `psi` out: its gradients are those of the objective only
    where that is one everywhere, as for the identity.

    Args:
        n_in: number of channels of `eta` (one) and `s` together: even, or a power of two for `type="HINT"`.
        n_hidden: number of hidden channels of the residual blocks.
        maxiter: number of turns.
        psi: link function, from an array of eta's shape to one of the same shape.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`. By default they work on
            a fourth of the image size.
        type: the coupling layers: `"additive"`, `CouplingLayerIRIM`, or `"HINT"`, `CouplingLayerHINT` with
            `permute="both"`.
        ndims: number of spatial axes, 1 to 3; 1 with `"HINT"` and more than four channels is for the NumPy engine
            only.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `eta` `(nx, [ny, [nz,]] 1, n_samples)`, `s` `(nx, [ny, [nz,]] n_in - 1, n_samples)`, `d` with samples on its
    last axis.
    Parameters: those of the layers `L[i]`, and `AN[i].s`, `AN[i].b`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Putzky and Welling (2019), «Invert to Learn to Invert», https://arxiv.org/abs/1911.10914.
    """

    upstream = "src/networks/invertible_network_irim.jl"
    _no_density = "it solves an inverse problem"
    _no_gpu = "its link function and its operator are Python's, which run on the CPU"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        maxiter: int,
        psi: Callable[[np.ndarray], np.ndarray],
        *,
        k1: int = 4,
        k2: int = 3,
        p1: int = 0,
        p2: int = 1,
        s1: int = 4,
        s2: int = 1,
        type: str = "additive",
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        if type not in ("additive", "HINT"):
            raise ValueError(f'NetworkLoop: type must be "additive" or "HINT", got {type!r}')
        if type == "HINT":
            check.power_of_two("NetworkLoop", n_in, 2)
        else:
            check.even("NetworkLoop", n_in=n_in)
        check.counts("NetworkLoop", n_hidden=n_hidden, maxiter=maxiter)
        check.block("NetworkLoop", k1, k2, p1, p2, s1, s2)
        check.spatial_axes("NetworkLoop", ndims)
        if not callable(psi):
            raise TypeError(f"NetworkLoop: psi must be a function such as lambda eta: eta, got {psi!r}")
        minimum = check.smallest_size(k1, p1)
        self._create(
            engine,
            seed,
            Space(1, ndims, minimum=minimum),
            Space(n_in - 1, ndims, minimum=minimum),
            only_numpy=check.deep_hint_on_a_line(n_in, ndims) if type == "HINT" else None,
        )

    def forward(self, eta: np.ndarray, s: np.ndarray, d: np.ndarray, A: Any) -> tuple[np.ndarray, np.ndarray]:
        """All turns of the loop.

        Args:
            eta: first guess of the image, shape `(nx, [ny, [nz,]] 1, n_samples)`, of the network's dtype.
            s: first state, shape `(nx, [ny, [nz,]] n_in - 1, n_samples)`.
            d: data, any shape with samples on its last axis.
            A: linear operator from the pixels of a sample, in Julia's order, to its data: a matrix, or anything with
                `matvec` and `rmatvec`, such as a SciPy `LinearOperator`.

        Returns:
            `(eta, s)`, of the same shapes.

        Raises:
            TypeError: an array is not of the network's dtype, or A is no operator.
            ValueError: a wrong shape, or ActNorm cannot be initialised. The network is unchanged.
        """
        return self._turn("forward", d, A, eta=eta, s=s)

    def inverse(self, eta: np.ndarray, s: np.ndarray, d: np.ndarray, A: Any) -> tuple[np.ndarray, np.ndarray]:
        """The arguments of `forward` from its results, with the same `d` and `A`.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised.
        """
        return self._turn("inverse", d, A, eta=eta, s=s)

    def backward(
        self, deta: np.ndarray, ds: np.ndarray, eta: np.ndarray, s: np.ndarray, d: np.ndarray, A: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Set every parameter's gradient, recomputing the states from the results by inversion.

        Args:
            deta, ds: gradients with respect to the results.
            eta, s: what `forward` returned.
            d, A: as given to `forward`.

        Returns:
            `(deta, ds, eta, s)`: the gradients with respect to the arguments, and the arguments recomputed.

        Raises:
            TypeError, ValueError: as `inverse`.
        """
        return self._turn("backward", d, A, deta=deta, ds=ds, eta=eta, s=s)

    def _turn(self, mode: str, d: np.ndarray, A: Any, **arrays: np.ndarray) -> tuple:
        title = f"{self._title}.{mode}"
        images, states = self._data, self._latent
        inputs = tuple(
            checked(name, array, images if name.endswith("eta") else states, self._dtype, title)
            for name, array in arrays.items()
        )
        first = inputs[0]
        for name, array in zip(arrays, inputs, strict=True):
            if array.shape[:-2] != first.shape[:-2] or array.shape[-1] != first.shape[-1]:
                raise ValueError(
                    f"{title}: {name} must agree with {next(iter(arrays))} in all axes but the channels, got shapes "
                    f"{array.shape} and {first.shape}"
                )
        pixels, samples = int(np.prod(first.shape[:-2])), first.shape[-1]
        data = self._checked_data(title, d, samples)
        self._check_operator(title, A, (len(data), pixels))
        return self._call(mode, title, (*inputs, data, A))

    def _checked_data(self, title: str, d: Any, samples: int) -> np.ndarray:
        """`d` as one column for each sample."""
        if not isinstance(d, np.ndarray) or d.dtype != self._dtype:
            got = d.dtype if isinstance(d, np.ndarray) else type(d).__name__
            raise TypeError(f"{title}: d must be a NumPy array of {self._dtype}, got {got}")
        if d.ndim < 2 or d.size == 0 or d.shape[-1] != samples:
            raise ValueError(f"{title}: d must have {samples} samples on its last axis, got shape {d.shape}")
        return np.asfortranarray(d.reshape(-1, samples, order="F"))

    def _check_operator(self, title: str, A: Any, shape: tuple[int, int]) -> None:
        if isinstance(A, np.ndarray):
            if A.dtype != self._dtype:
                raise TypeError(f"{title}: A must be a matrix of {self._dtype}, got {A.dtype}")
        elif not (hasattr(A, "matvec") and hasattr(A, "rmatvec")):
            raise TypeError(
                f"{title}: A must be a matrix or have matvec and rmatvec, as a SciPy LinearOperator has; got "
                f"{type(A).__name__}"
            )
        if tuple(getattr(A, "shape", shape)) != shape:
            raise ValueError(
                f"{title}: A must have shape {shape}, from the pixels of a sample to its data, got {tuple(A.shape)}"
            )
