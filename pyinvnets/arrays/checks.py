"""The checks of array arguments, made once, before any engine runs.

An array has Julia's shape, `(nx, [ny, [nz,]] n_channels, n_samples)`, in column-major order. A C-contiguous batch
in PyTorch's layout `(N, C, H, W)` is such an array once transposed: `x.T`.
"""

from __future__ import annotations

import numpy as np

from ..engines.julia.device_array import DeviceArray
from ..engines.julia.gpu import gpu
from .cuda_interface import is_on_gpu
from .spec import DTYPES, Space, check_shape


def checked(name: str, array: object, space: Space, dtype: np.dtype | None, owner: str) -> np.ndarray:
    """`array` in column-major order, copied only where it is not so already.

    Raises:
        TypeError: it is no array of `dtype` (of float32 or float64 where that is `None`).
        ValueError: its shape is not in `space`.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{owner}: {name} must be a NumPy array, got {type(array).__name__}; "
            f"write np.asarray({name}, dtype=np.{dtype or 'float32'})"
            if not is_on_gpu(array)
            else f"{owner}: {name} is on the GPU, and the network is not; write inv.cpu({name}), or G.gpu() first"
        )
    _check_kind(name, array, space, dtype, owner)
    if array.flags.f_contiguous and array.flags.aligned:
        return array
    return np.array(array, order="F")


def checked_on_gpu(name: str, array: object, space: Space, dtype: np.dtype, owner: str) -> DeviceArray:
    """`array`, of whatever library, as the network on the GPU takes it; its memory is shared.

    Raises:
        TypeError: it is not on the GPU, or not of `dtype`.
        ValueError: its shape is not in `space`, or it is read-only or not column-major.
    """
    if not is_on_gpu(array):
        raise TypeError(
            f"{owner}: the network is on the GPU, and {name}, a {type(array).__name__}, is not; write "
            f"inv.gpu({name}), or G.cpu() first"
        )
    array = gpu(array)
    _check_kind(name, array, space, dtype, owner)
    return array


def _check_kind(name: str, array: np.ndarray | DeviceArray, space: Space, dtype: np.dtype | None, owner: str) -> None:
    if array.dtype != dtype if dtype else array.dtype not in DTYPES:
        raise TypeError(_dtype_message(name, array.dtype, dtype, owner))
    check_shape(name, array.shape, space, owner)


def _dtype_message(name: str, got: np.dtype, expected: np.dtype | None, owner: str) -> str:
    if expected is None:
        return f"{owner}: {name} must be float32 or float64, got {got}; write {name}.astype(np.float32)"
    message = (
        f"{owner}: {name} must be {expected}, as the parameters are, got {got}; write {name}.astype(np.{expected})"
    )
    if got in DTYPES:
        message += f", or convert the network once with .astype(np.{got})"
    return message
