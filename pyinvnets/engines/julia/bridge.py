"""NumPy memory as Julia sees it, and Julia's as NumPy does."""

from __future__ import annotations

from typing import Any

import numpy as np


def _view(value: Any) -> Any:
    """A Julia array as a NumPy view of it; a number, or `None`, as it is."""
    return value if value is None or isinstance(value, float) else np.asarray(value)


def description(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """For each array its address, its number of axes, its shape: what Julia wraps its memory by."""
    return np.array([n for a in arrays for n in (a.ctypes.data, a.ndim, *a.shape)], np.int64)


def _columns(multiply: Any, X: np.ndarray) -> np.ndarray:
    return np.stack([np.ravel(multiply(column)) for column in X.T], axis=1).astype(X.dtype, copy=False)


class Bridge:
    """The Julia module PyInvNets; each function is looked up once."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        setattr(self, name, value)
        return value
