"""The layers: each class declares the constructor, the arrays it takes, its source. The engines do the arithmetic."""

from __future__ import annotations

import numpy as np

from . import constructors as check
from .activations import ActivationFunction, ReLUlayer, SigmoidLayer
from .arrays import Space
from .invertible import Invertible, OneLane


class ActNorm(OneLane):
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
        self._create(engine, seed, Space(channels=k))


class Conv1x1(OneLane):
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

    def __init__(
        self, k: int, *, freeze: bool = False, logdet: bool = False, engine: str | None = None, seed: int | None = None
    ) -> None:
        check.counts("Conv1x1", k=k)
        check.flags("Conv1x1", freeze=freeze, logdet=logdet)
        self._create(engine, seed, Space(channels=k))


class ResidualBlock(Invertible):
    """Three convolutions with activations between; the second has a skip around it, the third is transposed.

    It is not invertible: it is what a coupling layer computes its scale and shift with.

    Args:
        n_in: number of input channels.
        n_hidden: number of hidden channels.
        n_out: number of channels of the third convolution, `2 n_in` by default.
        activation: `ReLUlayer()` or `LeakyReLUlayer()`.
        k1, p1, s1: kernel, padding and stride of the first and third convolution.
        k2, p2, s2: the same of the second, which must keep the size.
        fan: whether the output has `n_out` channels, after the activation; otherwise a gated linear unit halves them.
        ndims: number of spatial axes, 1 to 3.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`.
    Parameters: `W1` `(k1, k1, n_in, n_hidden)`, `W2` `(k2, k2, n_hidden, n_hidden)`, `W3` `(k1, k1, n_out, n_hidden)`,
    `b1`, `b2` `(n_hidden,)`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Putzky and Welling (2019), «Invert to Learn to Invert», https://arxiv.org/abs/1911.10914.
    """

    upstream = "src/layers/layer_residual_block.jl"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        n_out: int | None = None,
        activation: ActivationFunction = ReLUlayer(),
        k1: int = 3,
        k2: int = 3,
        p1: int = 1,
        p2: int = 1,
        s1: int = 1,
        s2: int = 1,
        fan: bool = False,
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        n_out = 2 * n_in if n_out is None else n_out
        check.counts("ResidualBlock", n_in=n_in, n_hidden=n_hidden, n_out=n_out)
        check.block("ResidualBlock", k1, k2, p1, p2, s1, s2)
        check.block_activation("ResidualBlock", activation)
        check.flags("ResidualBlock", fan=fan)
        check.spatial_axes("ResidualBlock", ndims)
        if not fan and n_out % 2:
            raise ValueError(f"ResidualBlock: n_out must be even without fan=True, got {n_out}")
        minimum = check.smallest_size(k1, p1)
        self._create(
            engine,
            seed,
            Space(n_in, ndims, minimum=minimum),
            Space(n_out if fan else n_out // 2, ndims, minimum=minimum),
        )

    def forward(self, X: np.ndarray) -> np.ndarray:
        """The block's output.

        Args:
            X: shape `(nx, [ny, [nz,]] n_in, n_samples)`, of the block's dtype.

        Returns:
            Shape of X with `n_out` channels (`fan=True`) or `n_out / 2`.

        Raises:
            TypeError, ValueError: an array of another dtype or shape.
        """
        return self._run("forward", (self._data,), X=X)

    def backward(self, dY: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Set every parameter's gradient. Unlike an invertible layer's it takes the *input* of `forward`.

        Args:
            dY: gradient with respect to the output, of its shape.
            X: the input of `forward`.

        Returns:
            The gradient with respect to X.

        Raises:
            TypeError, ValueError: an array of another dtype or shape.
        """
        return self._run("backward", (self._latent, self._data), dY=dY, X=X)


class CouplingLayerGlow(OneLane):
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
