"""Forward operators: from images to data, with the adjoint of their derivative."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engines.operators import products


class Operator(ABC):
    """From images to data.

    Images have samples on the last axis; data are columns, `(n_data, n_samples)`, a column with the elements of a
    sample in column-major order: those of an array `(C, H, W)` in PyTorch's layout in its own.
    """

    @abstractmethod
    def __call__(self, X: np.ndarray) -> np.ndarray:
        """The data of images."""

    @abstractmethod
    def pull_back(self, X: np.ndarray, R: np.ndarray) -> np.ndarray:
        """The gradient of `sum(R * self(X))` in X, of X's shape: for a linear operator the adjoint of R."""


class _Linear(Operator):
    """Products with the columns of all samples together."""

    def __init__(self, times: Callable[[np.ndarray], Any], adjoint_times: Callable[[np.ndarray], Any]) -> None:
        self._times, self._adjoint_times = times, adjoint_times

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self._times(_columns(X)))

    def pull_back(self, X: np.ndarray, R: np.ndarray) -> np.ndarray:
        return np.asarray(self._adjoint_times(R.astype(X.dtype, copy=False))).reshape(X.shape, order="F")


class _OfTorch(Operator):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, X: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            return _columns(self._function(_tensor(X)).numpy().T)

    def pull_back(self, X: np.ndarray, R: np.ndarray) -> np.ndarray:
        import torch

        with torch.enable_grad():
            x = _tensor(X).requires_grad_()
            data = self._function(x)
            cotangent = _tensor(R).to(data.dtype).reshape(data.shape)
            (gradient,) = torch.autograd.grad(data, x, cotangent)
        return np.asarray(gradient.numpy()).T


def _columns(X: np.ndarray) -> np.ndarray:
    return X.reshape(-1, X.shape[-1], order="F")


def _tensor(X: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(X.T))


def _each(multiply: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], np.ndarray]:
    """A product with columns, from that with one vector."""
    return lambda X: np.stack([np.ravel(multiply(column)) for column in X.T], axis=1)


def as_operator(A: Any) -> Operator:
    """A forward operator from what a user has.

    Args:
        A: a matrix `(n_data, n_pixels)`, NumPy's or one of SciPy's sparse ones; a linear operator with `matvec` and
            `rmatvec`, such as SciPy's `LinearOperator` and those of pylops; an object of Julia's, held by juliacall,
            that knows `A * x` and `adjoint(A) * y`, such as a matrix and the operators of JOLI and JUDI; a PyTorch
            function from a batch `(N, C, H, W)` to data `(N, ...)`, which may be nonlinear; or an `Operator` of one's
            own. An image is to a linear operator the vector of its elements in column-major order: of `(C, H, W)` in
            PyTorch's layout, the elements in their own.

    Raises:
        TypeError: it is none of these.
        ValueError: a matrix without two axes.

    >>> A = as_operator(np.ones((1, 4)))
    >>> A(np.ones((2, 2, 1, 3))).tolist()
    [[4.0, 4.0, 4.0]]
    """
    if isinstance(A, Operator):
        return A
    of_engine = products(A)
    if of_engine is not None:
        return _Linear(*of_engine)
    if isinstance(A, np.ndarray) or hasattr(A, "tocsr"):
        if A.ndim != 2:
            raise ValueError(f"A must be a matrix (n_data, n_pixels), got shape {A.shape}")
        return _Linear(lambda X: A @ X, lambda R: A.T @ R)
    if hasattr(A, "matvec") and hasattr(A, "rmatvec"):
        times = getattr(A, "matmat", None) or _each(A.matvec)
        return _Linear(times, getattr(A, "rmatmat", None) or _each(A.rmatvec))
    if callable(A):
        return _OfTorch(A)
    raise TypeError(
        "A must be a matrix, a linear operator with matvec and rmatvec, such as those of SciPy and pylops, an "
        f"operator of Julia's, or a PyTorch function of a batch (N, C, H, W), got {type(A).__name__}"
    )
