"""Arrays that are not in memory: datasets in HDF5 and Zarr files, Dask arrays.

They have samples on the first axis, `(n_samples, n_channels, [nz,] ny, nx)`, as PyTorch has them, and as HDF5 shows
in Python what Julia wrote as `(nx, ny, [nz,] n_channels, n_samples)`: Python names the axes of a file in reverse.
"""

from __future__ import annotations

import itertools
from typing import Any, TypeGuard

import numpy as np

from .cuda_interface import is_on_gpu

_BLOCK = 2**20
"""Bytes that are read together at least."""


class StoredArray:
    """An array outside memory, with the axes that networks take: samples last.

    Args:
        array: it has `shape`, `dtype` and slices of its first axis, such as an `h5py.Dataset`.
        axes: how many axes it is to have; spatial ones of size one are added where it has less.
        dtype: what its numbers are converted to as they are read.

    Attributes:
        shape: `(nx, [ny, [nz,]] n_channels, n_samples)`.
        dtype: of its numbers.
        block: how many samples are best read together: a whole chunk of the file, or several.
    """

    def __init__(self, array: Any, *, axes: int = 0, dtype: np.dtype | None = None) -> None:
        self._array = array
        self.shape: tuple[int, ...] = (1,) * (axes - len(array.shape)) + tuple(array.shape[::-1])
        self.dtype = np.dtype(dtype or array.dtype)
        chunk = _chunk(array)
        self.block = chunk * -(-_BLOCK // max(1, chunk * self.sample_bytes))

    @property
    def sample_bytes(self) -> int:
        """The size of a sample."""
        return int(np.prod(self.shape[:-1])) * self.dtype.itemsize

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """The samples of these numbers, in memory; what is in one block is read at once.

        Args:
            numbers: in ascending order.
        """
        result = np.empty((len(numbers), *self.shape[-2::-1]), self.dtype)
        edges = np.flatnonzero(np.diff(numbers // self.block, prepend=-1, append=-1))
        for start, stop in itertools.pairwise(edges):
            first, last = int(numbers[start]), int(numbers[stop - 1])
            read = np.asarray(self._array[first : last + 1]).reshape(-1, *result.shape[1:])
            with np.errstate(over="ignore", invalid="ignore"):
                result[start:stop] = read[numbers[start:stop] - first]
        return result.T


def _chunk(array: Any) -> int:
    """How many samples a chunk of the file has."""
    chunks = getattr(array, "chunksize", None) or getattr(array, "chunks", None)  # Dask's name, and the others'
    return int(chunks[0]) if chunks else 1


def is_stored(array: Any) -> TypeGuard[Any]:
    """Whether it is an array of another library that can be read by slices, and no array of numbers in memory."""
    if isinstance(array, (np.ndarray, np.generic)) or is_on_gpu(array):
        return False
    return (
        isinstance(getattr(array, "dtype", None), np.dtype)
        and isinstance(getattr(array, "shape", None), tuple)
        and len(array.shape) > 1
        and hasattr(array, "__getitem__")
    )


def as_stored(array: Any) -> Any:
    """A `StoredArray` of what is one, and anything else as it is."""
    return StoredArray(array) if is_stored(array) else array


def take(array: np.ndarray | StoredArray, numbers: np.ndarray) -> np.ndarray:
    """Some samples of an array that has them on its last axis, in memory: nothing else of a file is read."""
    return array.take(numbers) if isinstance(array, StoredArray) else np.asarray(array.T[numbers]).T
