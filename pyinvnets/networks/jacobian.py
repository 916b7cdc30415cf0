"""The Jacobian with respect to the parameters, as a linear operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base.flow import Flow
from .base.parameters import get_params


def Jacobian(G: Flow, X: np.ndarray) -> Any:
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
    if not isinstance(G, Flow) or G.signature.no_jacobian:
        raise TypeError(f"Jacobian: expected a network with one input and a method jacobian, got {G!r}")
    still = np.zeros_like(X, order="F")
    _, Y = G.jacobian(still, {}, X)
    parameters = get_params(G)
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
