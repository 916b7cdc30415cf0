"""The layers: each class declares the constructor, the arrays it takes, its source. The engines do the arithmetic."""

from __future__ import annotations

import numpy as np

from . import constructors as check
from .activations import ActivationFunction, ReLUlayer, SigmoidLayer
from .arrays import Space
from .density import NoDensity
from .invertible import Invertible, OneLane
from .jacobians import Direction, OneLaneJacobian, TwoLanesJacobian, adjoint_jacobian, jacobian
from .lanes import Conditional, ConditionalHINT, TwoLanes


class ActNorm(OneLane, OneLaneJacobian):
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


class Conv1x1(OneLane, OneLaneJacobian):
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
        self._create(engine, seed, Space(channels=k))


class ResidualBlock(NoDensity, Invertible):
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
    _no_density = "it is not invertible"

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

    def jacobian(self, dX: np.ndarray, dtheta: Direction, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The derivative of `forward` along a direction of the input and of the parameters.

        Args:
            dX: direction of the input.
            dtheta: direction of each parameter by name; those left out do not move.
            X: the input.

        Returns:
            `(dY, Y)`: the derivative of the output, and the output.

        Raises:
            TypeError, ValueError: an array of another dtype or shape, or an unknown parameter.
        """
        return jacobian(self, dtheta, (self._data, self._data), dX=dX, X=X)

    def adjoint_jacobian(self, dY: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The adjoint of `jacobian`, which leaves the parameters' own gradients as they are.

        Args:
            dY: of the output's shape.
            X: the input of `forward`.

        Returns:
            `(dX, dtheta)`: gradients of the input and of each parameter by name.

        Raises:
            TypeError, ValueError: an array of another dtype or shape.
        """
        return adjoint_jacobian(self, (self._latent, self._data), dY=dY, X=X)


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


class AffineLayer(OneLane, OneLaneJacobian):
    """A scale and a bias for every pixel and channel: `Y = s X + b`.

    Args:
        nx, ny: image size.
        nc: number of channels.
        logdet: whether `forward` returns the log-determinant too, and `backward` includes its gradient.
        engine, seed: engine, and seed of the initial scale.

    Arrays: `(nx, ny, nc, n_samples)`.
    Parameters: `s`, `b`, shape `(nx, ny, nc)`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: upstream's own.
    """

    upstream = "src/layers/layer_affine.jl"

    def __init__(
        self,
        nx: int,
        ny: int,
        nc: int,
        *,
        logdet: bool = False,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("AffineLayer", nx=nx, ny=ny, nc=nc)
        check.flags("AffineLayer", logdet=logdet)
        self._create(engine, seed, Space(nc, 2, spatial=(nx, ny)))


class CouplingLayerBasic(TwoLanes, TwoLanesJacobian):
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
        self._create(engine, seed, Space(n_in, ndims, minimum=check.smallest_size(k1, p1)))


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


class CouplingLayerIRIM(OneLane, OneLaneJacobian):
    """The additive coupling layer of i-RIM, between a 1x1 convolution and its inverse; it keeps volumes.

    Args:
        n_in: number of channels, even.
        n_hidden: number of hidden channels of the block.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the block; see `ResidualBlock`. By default the block
            works on a fourth of the image size.
        ndims: number of spatial axes, 1 to 3.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`.
    Parameters: `C.v1`, `C.v2`, `C.v3`, and those of the block, `RB.W1` and so on.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Putzky and Welling (2019), «Invert to Learn to Invert», https://arxiv.org/abs/1911.10914.
    """

    upstream = "src/layers/invertible_layer_irim.jl"
    _keeps_volume = True

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        k1: int = 4,
        k2: int = 3,
        p1: int = 0,
        p2: int = 1,
        s1: int = 4,
        s2: int = 1,
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.even("CouplingLayerIRIM", n_in=n_in)
        check.counts("CouplingLayerIRIM", n_hidden=n_hidden)
        check.block("CouplingLayerIRIM", k1, k2, p1, p2, s1, s2)
        check.spatial_axes("CouplingLayerIRIM", ndims)
        self._create(engine, seed, Space(n_in, ndims, minimum=check.smallest_size(k1, p1)))


class HyperbolicLayer(TwoLanes, TwoLanesJacobian):
    """A leapfrog step of a wave equation: from the states `X_prev`, `X_curr` to `X_curr` and
    `X_new = 2 X_curr - X_prev - alpha W' relu(W X_curr + b)`; it keeps volumes.

    Args:
        n_in: number of channels of each state.
        kernel, stride, pad: of the convolution `W`.
        action: 0 keeps the image size; -1 halves it by a Haar transform, which multiplies the channels by
            `2**ndims`; 1 doubles it and divides the channels. (Upstream's default, `"same"`, fails in `forward`.)
        alpha: step size, rounded to 32 bits as upstream holds it.
        n_hidden: number of channels after the convolution, `n_in` by default.
        ndims: number of spatial axes, 2 or 3; 1 is for the NumPy engine only.
        engine, seed: engine, and seed of the initial weights.

    Arrays: two of `(nx, [ny, [nz,]] n_in, n_samples)`, `X_prev` and `X_curr`; the latent is `X_curr` (resized) and
    `X_new`.
    Parameters: `W` `(kernel, kernel, n_out, n_hidden)` with the channels `n_out` of the latent, `b` `(n_hidden,)`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Lensink, Peters and Haber (2022), «Fully hyperbolic convolutional neural networks»,
    https://arxiv.org/abs/1905.10484.
    """

    upstream = "src/layers/invertible_layer_hyperbolic.jl"
    _keeps_volume = True

    def __init__(
        self,
        n_in: int,
        kernel: int,
        stride: int,
        pad: int,
        *,
        action: int = 0,
        alpha: float = 1.0,
        n_hidden: int | None = None,
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("HyperbolicLayer", n_in=n_in, kernel=kernel, stride=stride)
        check.counts("HyperbolicLayer", 0, pad=pad)
        check.spatial_axes("HyperbolicLayer", ndims)
        check.hyperbolic_action("HyperbolicLayer", action, n_in, ndims)
        check.step_size("HyperbolicLayer", alpha)
        if n_hidden is not None:
            check.counts("HyperbolicLayer", n_hidden=n_hidden)
        data, latent = check.hyperbolic_spaces(n_in, [action], check.smallest_size(kernel, pad), ndims)
        self._create(engine, seed, data, latent, only_numpy="ndims=1" if ndims == 1 else None)


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


class ConditionalResidualBlock(NoDensity, Invertible):
    """A residual block over an image and data of another shape: a dense layer brings the data to the image's shape,
    then both go through three convolutions, the second with a skip, the third transposed. It is not invertible.

    Args:
        nx1, nx2, nx_in: size and channels of the image `X`.
        ny1, ny2, ny_in: size and channels of the data `D`.
        n_hidden: number of hidden channels.
        batchsize: as upstream wants it; other batch sizes work too.
        k1, p1, s1: kernel, padding and stride of the first and third convolution.
        k2, p2, s2: the same of the second, which must keep the size.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `X` `(nx1, nx2, nx_in, n_samples)`, `D` `(ny1, ny2, ny_in, n_samples)`.
    Parameters: `W0` `(nx1 nx2 nx_in, ny1 ny2 ny_in)`, `W1` `(k1, k1, 2 nx_in, n_hidden)`, `W2`
    `(k2, k2, n_hidden, n_hidden)`, `W3` `(k1, k1, nx_in, n_hidden)`, `b0` `(nx1 nx2 nx_in,)`, `b1`, `b2`
    `(n_hidden,)`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: upstream's own.
    """

    upstream = "src/conditional_layers/conditional_layer_residual_block.jl"
    _no_density = "it is not invertible"

    def __init__(
        self,
        nx1: int,
        nx2: int,
        nx_in: int,
        ny1: int,
        ny2: int,
        ny_in: int,
        n_hidden: int,
        batchsize: int,
        *,
        k1: int = 3,
        k2: int = 3,
        p1: int = 1,
        p2: int = 1,
        s1: int = 1,
        s2: int = 1,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts(
            "ConditionalResidualBlock",
            nx1=nx1,
            nx2=nx2,
            nx_in=nx_in,
            ny1=ny1,
            ny2=ny2,
            ny_in=ny_in,
            n_hidden=n_hidden,
            batchsize=batchsize,
        )
        check.block("ConditionalResidualBlock", k1, k2, p1, p2, s1, s2)
        if any(n % s1 or (n + 2 * p1 - k1) // s1 + 1 != n // s1 for n in (nx1, nx2)):
            raise ValueError(
                f"ConditionalResidualBlock: the first convolution must divide the image size by its stride, got "
                f"k1={k1}, p1={p1}, s1={s1} on an image of {(nx1, nx2)}"
            )
        self._create(engine, seed, Space(nx_in, 2, spatial=(nx1, nx2)), Space(ny_in, 2, spatial=(ny1, ny2)))

    def forward(self, X: np.ndarray, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The block's output, and the data unchanged.

        Args:
            X: shape `(nx1, nx2, nx_in, n_samples)`, of the block's dtype.
            D: shape `(ny1, ny2, ny_in, n_samples)`.

        Returns:
            `(Z, D)`, `Z` of X's shape.

        Raises:
            TypeError, ValueError: an array of another dtype or shape.
        """
        return self._run("forward", (self._data, self._latent), X=X, D=D)

    def backward(self, dZ: np.ndarray, dD: np.ndarray, X: np.ndarray, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Set every parameter's gradient. Unlike an invertible layer's it takes the *inputs* of `forward`.

        Args:
            dZ, dD: gradients with respect to the outputs.
            X, D: the inputs of `forward`.

        Returns:
            `(dX, dD)`: the gradients with respect to the inputs.

        Raises:
            TypeError, ValueError: an array of another dtype or shape.
        """
        return self._run("backward", (self._data, self._latent) * 2, dZ=dZ, dD=dD, X=X, D=D)

    def jacobian(self, dX: np.ndarray, dD: np.ndarray, dtheta: Direction, X: np.ndarray, D: np.ndarray) -> tuple:
        """The derivative of `forward` along a direction of the inputs and of the parameters.

        Args:
            dX, dD: directions of the inputs.
            dtheta: direction of each parameter by name; those left out do not move.
            X, D: the inputs.

        Returns:
            `(dZ, dD, Z, D)`: the derivatives of the outputs, and the outputs.

        Raises:
            TypeError, ValueError: an array of another dtype or shape, or an unknown parameter.
        """
        return jacobian(self, dtheta, (self._data, self._latent) * 2, dX=dX, dD=dD, X=X, D=D)

    def adjoint_jacobian(self, dZ: np.ndarray, dD: np.ndarray, X: np.ndarray, D: np.ndarray) -> tuple:
        """The adjoint of `jacobian`, which leaves the parameters' own gradients as they are.

        Args:
            dZ, dD: of the outputs' shapes.
            X, D: the inputs of `forward`.

        Returns:
            `(dX, dD, dtheta)`: gradients of the inputs and of each parameter by name.

        Raises:
            TypeError, ValueError: an array of another dtype or shape.
        """
        return adjoint_jacobian(self, (self._data, self._latent) * 2, dZ=dZ, dD=dD, X=X, D=D)
