"""Arrays of any library on a GPU, described by their `__cuda_array_interface__`."""

from __future__ import annotations

from typing import Any

import numpy as np

TYPES: dict[str, np.dtype] = {"<f4": np.dtype(np.float32), "<f8": np.dtype(np.float64)}


def is_on_gpu(X: Any) -> bool:
    """Whether X is an array on a GPU, whichever library made it."""
    return hasattr(X, "__cuda_array_interface__")


def described(X: Any) -> tuple[int, np.dtype, tuple[int, ...]]:
    """The address, type and shape of an array with `__cuda_array_interface__`, as Julia can use it.

    Raises:
        TypeError: it holds no float32 or float64, or is masked.
        ValueError: it is read-only, or not column-major.
    """
    interface = X.__cuda_array_interface__
    kind, shape = type(X).__name__, tuple(interface["shape"])
    dtype = TYPES.get(interface["typestr"])
    if dtype is None:
        raise TypeError(f"the elements of the {kind} must be float32 or float64, got {interface['typestr']}")
    if interface.get("mask") is not None:
        raise TypeError(f"the {kind} is masked; expected an array without a mask")
    address, read_only = interface["data"]
    if read_only:
        raise ValueError(f"the {kind} is read-only; a DeviceArray can be written to, so hand in a copy")
    strides = interface.get("strides") or column_major(shape[::-1], dtype.itemsize)[::-1]
    expected = column_major(shape, dtype.itemsize)
    if any(n > 1 and got != right for n, got, right in zip(shape, strides, expected, strict=True)):
        raise ValueError(
            f"the {kind} of shape {shape} must be column-major, strides {expected}, got {tuple(strides)}; "
            "a C-contiguous batch (N, C, H, W) is so once its axes are reversed: x.T of CuPy, "
            "x.permute(3, 2, 1, 0) of PyTorch"
        )
    return address, dtype, shape


def column_major(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides of a column-major array, in bytes."""
    return tuple(int(itemsize * np.prod(shape[:i], dtype=np.int64)) for i in range(len(shape)))


def to_numpy(array: Any) -> np.ndarray:
    """Copy an array into NumPy's memory; a NumPy array is given back as it is."""
    return array if isinstance(array, np.ndarray) else array.numpy()
