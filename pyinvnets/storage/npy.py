"""Samples in .npy files, and in HDF5 and Zarr: rows, images in PyTorch's layout, or Julia's.

Here samples are on the first axis, as PyTorch has them: `(n_samples, n_features)`, or `(n_samples, n_channels, ny, nx)`
with one to three spatial axes. In a file of Julia's layout all axes are in reverse.
"""

from __future__ import annotations

import io
import math
import sys
from typing import Any, BinaryIO

import numpy as np

from ..arrays.spec import ArraySpec
from ..arrays.stored import StoredArray, is_stored
from . import datasets
from .files import replaced

STANDARD = "-"
"""Stands for standard input and standard output."""

_ZIP = b"PK\x03\x04"
"""How a .npz file begins."""


def read(path: str, *, julia_layout: bool = False) -> Any:
    """The samples of a file, memory-mapped, or of standard input; of HDF5 and Zarr the dataset, open and not read.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the library for such files is not installed.
        ValueError: it holds something else than numbers, or no samples on two to five axes.
    """
    if datasets.is_dataset(path):
        if julia_layout:
            raise ValueError(
                f"{path}: leave out --julia-layout: in HDF5 and Zarr samples are on the first axis, and what Julia "
                "wrote as (nx, ny, n_channels, n_samples) is read so, since Python names its axes in reverse"
            )
        return datasets.read(path)
    if path == STANDARD:
        content = sys.stdin.buffer.read()
        shape, fortran, dtype, offset = _header("standard input", io.BytesIO(content), len(content))
        array = np.frombuffer(content, dtype, math.prod(shape), offset).reshape(shape, order="F" if fortran else "C")
    else:
        with open(path, "rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            shape, fortran, dtype, offset = _header(path, file, size)
            array = np.memmap(file, dtype, "r", offset, shape, "F" if fortran else "C")
    return array.T if julia_layout else array


def _header(name: str, file: BinaryIO, size: int) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """The shape of the array, whether it is column-major, its type, and where its numbers begin.

    Nothing is allocated before the file is seen to hold all that its header promises.
    """
    if file.read(len(_ZIP)) == _ZIP:
        raise ValueError(f"{name} holds several arrays; expected one, as np.save writes it")
    file.seek(0)
    try:
        shape, fortran, dtype = _READERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # NumPy's parser lets out whatever a damaged header leads to
        raise ValueError(f"{name} is not a whole .npy file of numbers, as np.save writes it") from error
    if dtype.kind not in "fiub":
        what = "a pickled object" if dtype.hasobject else dtype
        raise ValueError(f"{name} must hold real numbers, got {what}")
    if not 2 <= len(shape) <= 5 or not all(n > 0 for n in shape):
        raise ValueError(
            f"{name} must have shape (n_samples, n_features) or (n_samples, n_channels, ny, nx), got {shape}"
        )
    offset = file.tell()
    if math.prod(shape) * dtype.itemsize > size - offset:
        raise ValueError(f"{name} is not a whole .npy file of numbers, as np.save writes it: it ends before its array")
    return shape, fortran, dtype, offset


_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def layout(samples: np.ndarray, *, julia_layout: bool = False) -> tuple[tuple[int, ...], str]:
    """The shape of the samples as they are in their file, and the names of its axes, for messages."""
    if julia_layout:
        axes = ("n_features",) if samples.ndim == 2 else (*("nx", "ny", "nz")[: samples.ndim - 2], "n_channels")
        return samples.shape[::-1], f"({', '.join((*axes, 'n_samples'))})"
    axes = ("n_samples", "n_features") if samples.ndim == 2 else ("N", "C", *_SPATIAL[samples.ndim - 2])
    return samples.shape, f"({', '.join(axes)})"


_SPATIAL = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}
"""PyTorch's names of the spatial axes."""


def misfit(samples: np.ndarray, spec: ArraySpec) -> str | None:
    """Why a network that takes arrays of `spec` cannot take samples of this shape, in words of the file; `None` where
    it can."""
    _, channels, *spatial = samples.shape
    ndims = len(spatial) or spec.ndims or 2
    spatial = spatial or [1] * ndims
    if spec.vector or spec.holds((*reversed(spatial), channels, 1)):
        return None
    if spec.ndims not in (None, ndims):
        return f"it takes samples with {spec.ndims} spatial axes, these have {ndims}"
    if spec.channels not in (None, channels):
        return f"it takes {spec.channels} {'channels' if samples.ndim > 2 else 'columns'}, these have {channels}"
    size = "×".join(map(str, spatial))
    if spec.spatial is not None:
        return f"it takes images of {'×'.join(map(str, reversed(spec.spatial)))} pixels, these have {size}"
    least = max(spec.multiple, spec.minimum)
    wanted = f"multiples of {spec.multiple}" if spec.multiple > 1 else ""
    wanted += (" and " if wanted else "") + f"at least {least}" if least > spec.multiple else ""
    return f"it takes images whose sizes are {wanted}, these have {size} pixels; crop or pad them"


def to_network(name: str, samples: Any, ndims: int | None, dtype: np.dtype) -> Any:
    """The samples as a network takes them, `(nx, ny, n_channels, n_samples)`; features are the channels of one pixel.
    They are copied only where they are of another dtype, and a dataset stays in its file.

    Args:
        name: of the file, for messages.
        ndims: number of spatial axes of the network, if it tells.

    Raises:
        ValueError: a value is not finite, in this dtype.
    """
    if is_stored(samples):
        return StoredArray(samples, axes=2 + (ndims or 2) if samples.ndim == 2 else 0, dtype=dtype)
    if samples.ndim == 2:
        samples = samples[(...,) + (None,) * (ndims or 2)]
    if samples.dtype != dtype:
        with np.errstate(over="ignore", invalid="ignore"):
            samples = samples.astype(dtype)
    for first in range(0, len(samples), 1024):
        finite = np.isfinite(samples[first : first + 1024]).reshape(-1, samples[0].size).all(axis=1)
        if not finite.all():
            raise ValueError(f"{name}: sample {first + int(finite.argmin())}, counted from 0, is not finite in {dtype}")
    return samples.T


def from_network(X: np.ndarray, axes: int = 1) -> np.ndarray:
    """The inverse of `to_network`: rows where the images are one pixel.

    Args:
        axes: on how many of the last axes the samples are.
    """
    samples = X.T
    return samples.reshape(samples.shape[: axes + 1]) if set(samples.shape[axes + 1 :]) == {1} else samples


def write(path: str, array: np.ndarray, *, julia_layout: bool = False) -> None:
    """Write a file, or standard output.

    Raises:
        FileNotFoundError: there is no folder for it.
        OSError: it cannot be written, or the disk is full.
    """
    array = array.T if julia_layout else array
    if path == STANDARD:
        _write_to(sys.stdout.buffer, array)
        sys.stdout.buffer.flush()
        return
    with replaced(path) as temporary, open(temporary, "wb") as file:
        _write_to(file, array)


def _write_to(file: BinaryIO, array: np.ndarray) -> None:
    """As `np.save`, which hides why a disk takes no more, and asks a pipe for a position that it does not have."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    rows = np.ascontiguousarray(array.T if fortran else array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array if fortran else rows))
    file.write(memoryview(rows).cast("B"))


def check_output(path: str) -> None:
    """Raise ValueError where a binary array would go to a terminal."""
    if path == STANDARD and sys.stdout.isatty():
        raise ValueError("a terminal does not show a .npy file; write --output FILE.npy, or pipe it to a command")
