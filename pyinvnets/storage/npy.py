"""Samples in .npy files: rows, images in PyTorch's layout, or Julia's.

Here samples are on the first axis, as PyTorch has them: `(n_samples, n_features)`, or `(n_samples, n_channels, ny, nx)`
with one to three spatial axes. In a file of Julia's layout all axes are in reverse.
"""

from __future__ import annotations

import io
import sys

import numpy as np

from .files import replaced

STANDARD = "-"
"""Stands for standard input and standard output."""


def read(path: str, *, julia_layout: bool = False) -> np.ndarray:
    """The samples of a file, memory-mapped, or of standard input.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else than numbers, or no samples on two to five axes.
    """
    name = "standard input" if path == STANDARD else path
    try:
        if path == STANDARD:
            array = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
        else:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError):
        raise ValueError(f"{name} is not a whole .npy file of numbers, as np.save writes it") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(f"{name} holds several arrays; expected one, as np.save writes it")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}")
    if not 2 <= array.ndim <= 5 or not array.size:
        raise ValueError(
            f"{name} must have shape (n_samples, n_features) or (n_samples, n_channels, ny, nx), got {array.shape}"
        )
    return array.T if julia_layout else array


def to_network(name: str, samples: np.ndarray, ndims: int | None, dtype: np.dtype) -> np.ndarray:
    """The samples as a network takes them, `(nx, ny, n_channels, n_samples)`; features are the channels of one pixel.
    They are copied only where they are of another dtype.

    Args:
        name: of the file, for messages.
        ndims: number of spatial axes of the network, if it tells.

    Raises:
        ValueError: a value is not finite, in this dtype.
    """
    if samples.ndim == 2:
        samples = samples[(...,) + (None,) * (ndims or 2)]
    if samples.dtype != dtype:
        with np.errstate(over="ignore"):
            samples = samples.astype(dtype)
    for first in range(0, len(samples), 1024):
        finite = np.isfinite(samples[first : first + 1024]).reshape(-1, samples[0].size).all(axis=1)
        if not finite.all():
            raise ValueError(f"{name}: sample {first + int(finite.argmin())}, counted from 0, is not finite in {dtype}")
    return samples.T


def from_network(X: np.ndarray) -> np.ndarray:
    """The inverse of `to_network`: rows where the images are one pixel."""
    samples = X.T
    return samples.reshape(samples.shape[:2]) if set(samples.shape[2:]) == {1} else samples


def write(path: str, array: np.ndarray, *, julia_layout: bool = False) -> None:
    """Write a file, or standard output.

    Raises:
        FileNotFoundError: there is no folder for it.
    """
    buffer = io.BytesIO()
    array = array.T if julia_layout else array
    if path != STANDARD:
        with replaced(path) as temporary, open(temporary, "wb") as file:
            np.save(file, array)
        return
    np.save(buffer, array)  # np.save asks a file for its position, which a pipe does not have.
    sys.stdout.buffer.write(buffer.getbuffer())
    sys.stdout.buffer.flush()


def check_output(path: str) -> None:
    """Raise ValueError where a binary array would go to a terminal."""
    if path == STANDARD and sys.stdout.isatty():
        raise ValueError("a terminal does not show a .npy file; write --output FILE.npy, or pipe it to a command")
