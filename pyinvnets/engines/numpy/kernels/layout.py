"""From Julia's arrays to the engine's and back.

The engine computes on `(n_channels, n_samples, [nz, ny,] nx)` in C order: a channel is one contiguous row, so a
1x1 convolution is one matrix product over the whole batch and splitting channels copies nothing.
"""

from __future__ import annotations

import numpy as np


def inward(array: np.ndarray) -> np.ndarray:
    """A copy of `(nx, ..., n_channels, n_samples)` as `(n_channels, n_samples, ..., nx)`; a vector as it is."""
    if array.ndim == 1:
        return array.copy()
    return array.T.swapaxes(0, 1).copy()


def outward(array: np.ndarray) -> np.ndarray:
    """The column-major `(nx, ..., n_channels, n_samples)` of an engine's array; a vector as it is."""
    if array.ndim == 1:
        return array
    return np.ascontiguousarray(array.swapaxes(0, 1)).T


def split(array: np.ndarray, index: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Views of the first `index` channels (half of them, rounded to even as Julia rounds) and of the rest."""
    k = round(len(array) / 2) if index is None else index
    return array[:k], array[k:]


def flat(array: np.ndarray) -> np.ndarray:
    """`(n_channels, everything else)`, a view for contiguous channels."""
    return array.reshape(len(array), -1)


def per_channel(vector: np.ndarray) -> np.ndarray:
    return vector[:, None]


# By the number of axes: looking them up is faster than making the tuple, which counts for small arrays.
_TO_LAST = {n: (0, *range(2, n), 1) for n in (3, 4, 5)}

_TO_SECOND = {n: (0, n - 1, *range(1, n - 1)) for n in (3, 4, 5)}


def samples_last(x: np.ndarray) -> np.ndarray:
    """A view `(n_channels, ..., nx, n_samples)`."""
    return x.transpose(_TO_LAST[x.ndim])


def samples_second(x: np.ndarray) -> np.ndarray:
    """The inverse of `samples_last`, contiguous."""
    return np.ascontiguousarray(x.transpose(_TO_SECOND[x.ndim]))
