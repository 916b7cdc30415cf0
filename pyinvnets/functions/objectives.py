"""Upstream's objective functions.

Source: InvertibleNetworks.jl, src/utils/objective_functions.jl.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays.checks import checked
from ..engines.choice import get_engine
from .value import _ANY


def log_likelihood(X: np.ndarray, mu: float = 0.0, sigma: float = 1.0, *, engine: str | None = None) -> float:
    """The mean over samples of `-|x - mu|^2 / (2 sigma^2)`: the Gaussian's constant is left out, as upstream does."""
    return get_engine(engine).call("log_likelihood", _objective("X", X, "log_likelihood"), mu, _positive(sigma))


def grad_log_likelihood(X: np.ndarray, mu: float = 0.0, sigma: float = 1.0, *, engine: str | None = None) -> np.ndarray:
    """The gradient of `log_likelihood` with respect to X; upstream's `∇log_likelihood`."""
    return get_engine(engine).call(
        "grad_log_likelihood", _objective("X", X, "grad_log_likelihood"), mu, _positive(sigma)
    )


def mse(X: np.ndarray, Y: np.ndarray, *, engine: str | None = None) -> float:
    """Half the squared distance of X and Y, the mean over samples."""
    return get_engine(engine).call("mse", *_pair(X, Y, "mse"))


def grad_mse(X: np.ndarray, Y: np.ndarray, *, engine: str | None = None) -> np.ndarray:
    """The gradient of `mse` with respect to X; upstream's `∇mse`."""
    return get_engine(engine).call("grad_mse", *_pair(X, Y, "grad_mse"))


def _objective(name: str, X: np.ndarray, owner: str) -> np.ndarray:
    """Any array of floats with samples on its last axis; a multiscale latent, a vector, has no such axis."""
    if isinstance(X, np.ndarray) and X.ndim == 1:
        raise ValueError(
            f"{owner}: {name} must have samples on its last axis, got a vector of shape {X.shape}; write "
            f"{name}.reshape(-1, n_samples) for a sum over all of them divided by n_samples"
        )
    if isinstance(X, np.ndarray) and X.ndim == 2:
        return checked(name, X[None], _ANY, None, owner)[0]
    return checked(name, X, _ANY, None, owner)


def _pair(X: np.ndarray, Y: np.ndarray, owner: str) -> tuple[np.ndarray, np.ndarray]:
    X, Y = _objective("X", X, owner), _objective("Y", Y, owner)
    if X.shape != Y.shape or X.dtype != Y.dtype:
        raise ValueError(
            f"{owner}: X and Y must agree in shape and dtype, got {X.shape} {X.dtype}, {Y.shape} {Y.dtype}"
        )
    return X, Y


def _positive(sigma: float) -> float:
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be a positive finite number, got {sigma}")
    return float(sigma)
