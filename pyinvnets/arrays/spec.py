"""The specification of an array argument: its shape, in Julia's order of axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

AXES = {
    1: "(nx, n_channels, n_samples)",
    2: "(nx, ny, n_channels, n_samples)",
    3: "(nx, ny, nz, n_channels, n_samples)",
}


@dataclass(frozen=True)
class ArraySpec:
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

    def joins(self, other: ArraySpec) -> bool:
        """Whether an array of this specification can also satisfy `other`, judging by channels and axes."""
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


def check_shape(name: str, shape: tuple[int, ...], spec: ArraySpec, owner: str) -> None:
    """Raise ValueError if `spec` does not allow this shape."""
    if not spec.holds(shape):
        raise ValueError(f"{owner}: {name} must have {spec.describe()}, got shape {shape}")
