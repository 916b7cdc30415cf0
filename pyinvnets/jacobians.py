"""Derivatives of networks along a direction, their adjoints, and the Jacobian as a linear operator.

Upstream's Gauss-Newton terms of the log-determinant are left out: its gradient is what `backward` adds.

Source: InvertibleNetworks.jl, src/utils/jacobian.jl.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .arrays import Space
    from .invertible import Invertible

Direction = Mapping[str, np.ndarray]


def jacobian(network: Invertible, dtheta: Direction, spaces: tuple[Space, ...], **arrays: np.ndarray) -> tuple:
    """What the engine gives for the tangents and the values in `arrays`, half of them each."""
    title = f"{network._title}.jacobian"
    inputs = network._checked(title, spaces, arrays)
    half = len(inputs) // 2
    inputs = (*inputs[:half], _directions(network, title, dtheta), *inputs[half:])
    return tuple(network._call("jacobian", title, inputs)[: 2 * half])


def adjoint_jacobian(network: Invertible, spaces: tuple[Space, ...], **arrays: np.ndarray) -> tuple:
    """The gradients of the inputs, those of the parameters by name, and the inputs where they are recomputed."""
    title = f"{network._title}.adjoint_jacobian"
    inputs = network._checked(title, spaces, arrays)
    results = network._call("adjointJacobian", title, inputs)
    half = len(inputs) // 2
    names = [p.name for p in network._parameters]
    gradients = dict(zip(names, results[half], strict=True))
    return (*results[:half], gradients, *results[half + 1 : 2 * half + 1])


def _directions(network: Invertible, title: str, dtheta: Direction) -> list[np.ndarray]:
    """The direction of every parameter, in order; zero for those that `dtheta` leaves out."""
    names = {p.name for p in network._parameters}
    unknown = sorted(set(dtheta) - names)
    if unknown:
        raise ValueError(f"{title}: dtheta holds {unknown[0]!r}, which is no parameter of {network!r}")
    return [
        p._checked(dtheta[p.name]) if p.name in dtheta else np.zeros(p.shape, network.dtype, order="F")
        for p in network._parameters
    ]


class OneLaneJacobian:
    """Derivatives of a network with one input and one output."""

    def jacobian(self, dX: np.ndarray, dtheta: Direction, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The derivative of `forward` along a direction of the input and of the parameters.

        Args:
            dX: direction of the input, of X's shape.
            dtheta: direction of each parameter by name; those left out do not move.
            X: the input.

        Returns:
            `(dY, Y)`: the derivative of the output, and the output.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, an unknown parameter, or ActNorm was never initialised.
        """
        return jacobian(self, dtheta, (self._data, self._data), dX=dX, X=X)

    def adjoint_jacobian(self, dY: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """The adjoint of `jacobian`: the gradient of `sum(dY Y)`. Log-determinants have no part in it, all uses of a
        shared block have, and the parameters' own gradients stay as they are.

        Args:
            dY: of Y's shape.
            Y: what `forward` returned.

        Returns:
            `(dX, dtheta, X)`: gradients of the input and of each parameter by name, and the input recomputed.

        Raises:
            TypeError, ValueError: as `backward`.
        """
        return adjoint_jacobian(self, (self._latent, self._latent), dY=dY, Y=Y)


class TwoLanesJacobian:
    """Derivatives of a network with two inputs and two outputs."""

    def jacobian(
        self, dX: np.ndarray, dY: np.ndarray, dtheta: Direction, X: np.ndarray, Y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The derivative of `forward` along a direction of the inputs and of the parameters.

        Args:
            dX, dY: directions of the inputs.
            dtheta: direction of each parameter by name; those left out do not move.
            X, Y: the inputs.

        Returns:
            `(dZx, dZy, Zx, Zy)`: the derivatives of the outputs, and the outputs.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, an unknown parameter, or ActNorm was never initialised.
        """
        return jacobian(self, dtheta, (self._data,) * 4, dX=dX, dY=dY, X=X, Y=Y)

    def adjoint_jacobian(self, dZx: np.ndarray, dZy: np.ndarray, Zx: np.ndarray, Zy: np.ndarray) -> tuple:
        """The adjoint of `jacobian`: the gradient of `sum(dZx Zx) + sum(dZy Zy)`. Log-determinants have no part in
        it, all uses of a shared block have, and the parameters' own gradients stay as they are.

        Args:
            dZx, dZy: of the outputs' shape.
            Zx, Zy: what `forward` returned.

        Returns:
            `(dX, dY, dtheta, X, Y)`: gradients of the inputs and of each parameter by name, and the inputs
            recomputed.

        Raises:
            TypeError, ValueError: as `backward`.
        """
        return adjoint_jacobian(self, (self._latent,) * 4, dZx=dZx, dZy=dZy, Zx=Zx, Zy=Zy)


def Jacobian(G: OneLaneJacobian, X: np.ndarray) -> Any:
    """The derivative of the output of `G` at X with respect to its parameters, as a SciPy `LinearOperator`.

    It maps a vector of all parameters (in the order of `get_params`, each in Julia's order) to the output as a vector;
    its adjoint goes back. Neither stores a matrix.

    Args:
        G: a network or layer with one input, on either engine.
        X: its input.

    Returns:
        A `scipy.sparse.linalg.LinearOperator` of shape `(Y.size, number of parameters)`.

    Raises:
        ImportError: SciPy is not installed.
        TypeError: upstream has no derivative of G, or X is not of its dtype.
        ValueError: X has the wrong shape, or ActNorm was never initialised.
    """
    try:
        from scipy.sparse.linalg import LinearOperator
    except ImportError:
        raise ImportError("Jacobian needs SciPy; write `pip install scipy`, or use G.jacobian(…)") from None
    if not isinstance(G, OneLaneJacobian):
        raise TypeError(f"Jacobian: expected a network with one input and a method jacobian, got {G!r}")
    still = np.zeros_like(X, order="F")
    _, Y = G.jacobian(still, {}, X)
    parameters = G._parameters
    sizes = [int(np.prod(p.shape)) for p in parameters]

    def along(vector: np.ndarray) -> np.ndarray:
        pieces = np.split(np.ravel(vector).astype(G.dtype, copy=False), np.cumsum(sizes)[:-1])
        dtheta = {p.name: v.reshape(p.shape, order="F") for p, v in zip(parameters, pieces, strict=True)}
        return G.jacobian(still, dtheta, X)[0].ravel("F")

    def back(vector: np.ndarray) -> np.ndarray:
        dY = np.ravel(vector).astype(G.dtype, copy=False).reshape(Y.shape, order="F")
        _, dtheta, _ = G.adjoint_jacobian(dY, Y)
        return np.concatenate([dtheta[p.name].ravel("F") for p in parameters])

    return LinearOperator((Y.size, sum(sizes)), matvec=along, rmatvec=back, dtype=G.dtype)
