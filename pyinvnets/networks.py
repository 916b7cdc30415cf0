"""The networks: each class declares the constructor, the arrays it takes, its source."""

from __future__ import annotations

from . import constructors as check
from .activations import ActivationFunction, ShuffleLayer, SigmoidLayer, Squeezer
from .arrays import Space
from .invertible import OneLane


class NetworkGlow(OneLane):
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
            data = Space(n_in, 1, factor, spatial=(nx,))
        else:
            data = Space(n_in, ndims, factor, minimum=factor * check.smallest_size(k1, p1))
        self._create(engine, seed, data, Space(n_in, vector=True) if splits else None)
