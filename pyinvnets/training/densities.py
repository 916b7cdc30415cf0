"""Log-densities of batches with their gradients, and how PyTorch and JAX give them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

LogDensity = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Of a batch with samples on the last axis the log-density of each sample, and the gradient of their sum."""


def checked_values(log_density: LogDensity, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log-densities and gradients of a batch.

    Raises:
        TypeError: the function does not give two arrays.
        ValueError: these have wrong shapes.
    """
    results = log_density(X)
    if not (isinstance(results, tuple) and len(results) == 2):
        raise TypeError(
            "log_density must give (values, gradient), a log-density for each sample and the gradient of their sum, "
            f"got {type(results).__name__}; from_torch and from_jax differentiate a function that gives values alone"
        )
    values, gradient = map(np.asarray, results)
    if values.shape != X.shape[-1:] or gradient.shape != X.shape:
        raise ValueError(
            f"log_density must give values of shape {X.shape[-1:]} and a gradient of shape {X.shape} for a batch of "
            f"shape {X.shape}, got {values.shape} and {gradient.shape}"
        )
    return values, gradient


def from_torch(function: Callable[[Any], Any]) -> LogDensity:
    """A log-density with its gradient from a PyTorch function.

    Args:
        function: from a batch, a tensor `(N, C, H, W)` on the CPU in the network's dtype, to the log-density of each
            sample, shape `(N,)`.

    Raises:
        ImportError: there is no PyTorch.

    >>> from pyinvnets.training.densities import from_torch
    >>> values, gradient = from_torch(lambda x: -x.square().sum((1, 2, 3)) / 2)(np.ones((1, 1, 2, 3)))
    >>> values.tolist(), gradient.shape
    ([-1.0, -1.0, -1.0], (1, 1, 2, 3))
    """
    try:
        import torch
    except ImportError:
        raise ImportError("from_torch needs PyTorch; write pip install 'pyinvnets[torch]'") from None

    @functools.wraps(function)
    def log_density(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.enable_grad():
            x = torch.from_numpy(np.ascontiguousarray(X.T)).requires_grad_()
            values = function(x)
            (gradient,) = torch.autograd.grad(values.sum(), x)
        return values.detach().numpy(), gradient.numpy().T

    return log_density


def from_jax(function: Callable[[Any], Any]) -> LogDensity:
    """A log-density with its gradient from a JAX function.

    Args:
        function: from a batch, an array `(N, C, H, W)`, to the log-density of each sample, shape `(N,)`. JAX computes
            in 32 bits unless it is told otherwise.

    Raises:
        ImportError: there is no JAX.
    """
    try:
        import jax
    except ImportError:
        raise ImportError("from_jax needs JAX; write pip install jax") from None

    @functools.wraps(function)
    def log_density(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, pull_back = jax.vjp(function, jax.numpy.asarray(X.T))
        (gradient,) = pull_back(jax.numpy.ones_like(values))
        return np.asarray(values), np.asarray(gradient).T

    return log_density
