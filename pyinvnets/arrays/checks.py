"""The checks of array arguments, made once, before any engine runs.

An array has Julia's shape, `(nx, [ny, [nz,]] n_channels, n_samples)`, in column-major order. A C-contiguous batch
in PyTorch's layout `(N, C, H, W)` is such an array once transposed: `x.T`.
"""

from __future__ import annotations

import numpy as np

from .cuda_interface import is_on_gpu
from .latents import Array
from .spec import DTYPES, ArraySpec, check_shape


def checked(name: str, array: object, spec: ArraySpec, dtype: np.dtype | None, owner: str) -> np.ndarray:
    """Give `array` in column-major order. It is copied only if it is in another order.

    Raises:
        TypeError: it is no array of `dtype` (of float32 or float64 where that is `None`).
        ValueError: its shape is not in `spec`.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{owner}: {name} must be a NumPy array, got {type(array).__name__}; "
            f"write np.asarray({name}, dtype=np.{dtype or 'float32'})"
            if not is_on_gpu(array)
            else f"{owner}: {name} is on the GPU, and the network is not; write inv.cpu({name}), or G.gpu() first"
        )
    check_kind(name, array, spec, dtype, owner)
    if array.flags.f_contiguous and array.flags.aligned:
        return array
    return np.array(array, order="F")


def check_kind(name: str, array: Array, spec: ArraySpec, dtype: np.dtype | None, owner: str) -> None:
    """Raise TypeError if the array is not of `dtype`, and ValueError if `spec` does not allow its shape."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{owner}: {name} is a masked array, and a network sees no mask; write {name}.filled(value), or leave the "
            "samples out that have masked values"
        )
    if array.dtype != dtype if dtype else array.dtype not in DTYPES:
        raise TypeError(_dtype_message(name, array.dtype, dtype, owner))
    check_shape(name, array.shape, spec, owner)


def _dtype_message(name: str, got: np.dtype, expected: np.dtype | None, owner: str) -> str:
    shown = str(got)
    if got.kind == "f" and not got.isnative:
        shown += f", a {got.name} of another byte order"
    elif got.kind == "O":
        shown += ", an array of Python objects"
    if expected is None:
        return f"{owner}: {name} must be float32 or float64, got {shown}; write {name}.astype(np.float32)"
    message = (
        f"{owner}: {name} must be {expected}, as the parameters are, got {shown}; write {name}.astype(np.{expected})"
    )
    if got in DTYPES:
        message += f", or convert the network once with .astype(np.{got})"
    return message
