"""The checks of array arguments, made once, before any engine runs.

An array has Julia's shape, `(nx, [ny, [nz,]] n_channels, n_samples)`, in column-major order. A C-contiguous batch
in PyTorch's layout `(N, C, H, W)` is such an array once transposed: `x.T`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .devices import DeviceArray, gpu, is_on_gpu

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
AXES = {
    1: "(nx, n_channels, n_samples)",
    2: "(nx, ny, n_channels, n_samples)",
    3: "(nx, ny, nz, n_channels, n_samples)",
}


@dataclass(frozen=True)
class Space:
    """What an array argument must look like.

    Attributes:
        channels: number of channels, any where `None`.
        ndims: number of spatial axes, one to three where `None`.
        multiple: each spatial size is a multiple of this.
        minimum: the smallest spatial size.
        spatial: the spatial sizes, where they are fixed.
        vector: whether it is a flat vector of all samples, as a multiscale latent is; its size must then be a
            multiple of `channels`.
    """

    channels: int | None = None
    ndims: int | None = None
    multiple: int = 1
    minimum: int = 1
    spatial: tuple[int, ...] | None = None
    vector: bool = False

    def describe(self) -> str:
        if self.vector:
            return "a vector, as `forward` returns it"
        words = f"shape {AXES[self.ndims]}" if self.ndims else f"shape {AXES[1]}, {AXES[2]} or {AXES[3]}"
        if self.channels is not None:
            words += f" with n_channels = {self.channels}"
        if self.spatial:
            words += f" and spatial sizes {self.spatial}"
        if self.multiple > 1:
            words += f" and spatial sizes that are multiples of {self.multiple}"
        if self.minimum > self.multiple:
            words += f" and spatial sizes of at least {self.minimum}"
        return words

    def joins(self, other: Space) -> bool:
        """Whether arrays of this space can be of `other` too, as far as channels and axes tell."""
        pairs = ((self.channels, other.channels), (self.ndims, other.ndims))
        return not (self.vector or other.vector) and all(a is None or b is None or a == b for a, b in pairs)

    def holds(self, shape: tuple[int, ...]) -> bool:
        if any(n < 1 for n in shape):
            return False
        if self.vector:
            return len(shape) == 1
        if len(shape) - 2 not in ((self.ndims,) if self.ndims else AXES):
            return False
        spatial = shape[:-2]
        return (
            (self.channels is None or shape[-2] == self.channels)
            and (self.spatial is None or spatial == self.spatial)
            and all(n % self.multiple == 0 and n >= self.minimum for n in spatial)
        )


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


def check_shape(name: str, shape: tuple[int, ...], space: Space, owner: str) -> None:
    """Raise ValueError where no array of `space` has this shape."""
    if not space.holds(shape):
        raise ValueError(f"{owner}: {name} must have {space.describe()}, got shape {shape}")


def _dtype_message(name: str, got: np.dtype, expected: np.dtype | None, owner: str) -> str:
    if expected is None:
        return f"{owner}: {name} must be float32 or float64, got {got}; write {name}.astype(np.float32)"
    message = (
        f"{owner}: {name} must be {expected}, as the parameters are, got {got}; write {name}.astype(np.{expected})"
    )
    if got in DTYPES:
        message += f", or convert the network once with .astype(np.{got})"
    return message
