"""Residual blocks, which are not invertible: coupling layers and summaries are made of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays.spec import ArraySpec
from ..functions.activations import ActivationFunction, ReLUlayer
from .base import arguments as check
from .base.block import Block
from .base.jacobians import Direction, adjoint_jacobian, jacobian
from .base.layer import Layer
from .base.shapes import ParameterShape, kernel_shape
from .base.summary import Shape, Step


class ResidualBlock(Block):
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

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`; the output has `n_out` channels (`fan=True`) or `n_out / 2`.
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
        given = ArraySpec(n_out if fan else n_out // 2, ndims, minimum=minimum)
        self._open(engine, seed, self._described({"X": ArraySpec(n_in, ndims, minimum=minimum)}, {"Y": given}))

    @staticmethod
    def shapes(
        n_in: int, n_hidden: int, k1: int, k2: int, ndims: int = 2, n_out: int | None = None, **_: Any
    ) -> Iterator[ParameterShape]:
        yield ParameterShape("W1", (*kernel_shape(k1, ndims), n_in, n_hidden))
        yield ParameterShape("W2", (*kernel_shape(k2, ndims), n_hidden, n_hidden))
        yield ParameterShape("W3", (*kernel_shape(k1, ndims), 2 * n_in if n_out is None else n_out, n_hidden))
        yield ParameterShape("b1", (n_hidden,))
        yield ParameterShape("b2", (n_hidden,))

    def steps(self, shape: Shape) -> list[Step]:
        return [Step("ResidualBlock", "", (*shape[:-2], self.signature.latent.channels, shape[-1]))]

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
        return jacobian(self, dtheta, (self.signature.data,) * 2, dX=dX, X=X)

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
        return adjoint_jacobian(self, (self.signature.latent, self.signature.data), dY=dY, X=X)


class ConditionalResidualBlock(Layer):
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
    _not_invertible = "it is not invertible"

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
        specs = {"X": ArraySpec(nx_in, 2, spatial=(nx1, nx2)), "D": ArraySpec(ny_in, 2, spatial=(ny1, ny2))}
        self._open(engine, seed, self._described(specs, specs))

    @staticmethod
    def shapes(
        nx1: int, nx2: int, nx_in: int, ny1: int, ny2: int, ny_in: int, n_hidden: int, **options: Any
    ) -> Iterator[ParameterShape]:
        size = nx1 * nx2 * nx_in
        yield ParameterShape("W0", (size, ny1 * ny2 * ny_in))
        yield ParameterShape("b0", (size,))
        yield from ResidualBlock.shapes(2 * nx_in, n_hidden, n_out=nx_in, **options)

    def steps(self, shape: Shape) -> list[Step]:
        return [Step("ConditionalResidualBlock", "", shape)]

    def input_shapes(self, shape: Shape) -> dict[str, Shape | None]:
        data = self.signature.inputs["D"]
        return {"X": shape, "D": (*data.spatial, data.channels, shape[-1])}

    @property
    def _specs(self) -> tuple[ArraySpec, ...]:
        return tuple(self.signature.inputs.values())

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
        return self._run("forward", self._specs, X=X, D=D)

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
        return self._run("backward", self._specs * 2, dZ=dZ, dD=dD, X=X, D=D)

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
        return jacobian(self, dtheta, self._specs * 2, dX=dX, dD=dD, X=X, D=D)

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
        return adjoint_jacobian(self, self._specs * 2, dZ=dZ, dD=dD, X=X, D=D)
