"""The elements of each sample in a latent, and the standard Gaussian's density of them."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np


class OnDevice(Protocol):
    """An array outside NumPy's memory, with the methods that densities and training call."""

    shape: tuple[int, ...]
    dtype: np.dtype
    size: int

    def numpy(self) -> np.ndarray: ...
    def repeated(self, samples: int) -> OnDevice: ...
    def half_squares(self, samples: int, splits: int) -> Any: ...
    def sum_of_squares(self) -> float: ...


Array = np.ndarray | OnDevice


def part_sizes(size: int, splits: int) -> list[int]:
    """How many of a sample's `size` elements leave after each split, which halves them, and how many stay."""
    return [*(size >> i for i in range(1, splits + 1)), size >> splits]


def by_sample(latent: np.ndarray, samples: int, splits: int) -> np.ndarray:
    """Sort a latent's elements into shape `(elements, n_samples)`. A split latent holds one part after the other, each
    of all samples."""
    flat = latent.reshape(-1, order="F")
    sizes = part_sizes(flat.size // samples, splits)
    ends = np.cumsum(sizes)[:-1] * samples
    parts = np.split(flat, ends)
    return np.concatenate([part.reshape(-1, samples, order="F") for part in parts])


def from_samples(elements: np.ndarray, splits: int) -> np.ndarray:
    """The inverse of `by_sample`, as a flat vector."""
    ends = np.cumsum(part_sizes(len(elements), splits))[:-1]
    return np.concatenate([part.reshape(-1, order="F") for part in np.split(elements, ends)])


def resized(spatial: tuple[int, ...], before: int, after: int) -> tuple[int, ...]:
    """The image size after squeezes that turned `before` channels into `after`: each axis is halved or doubled."""
    halvings = round(math.log2(after / before) / len(spatial))
    return tuple(n >> halvings if halvings >= 0 else n << -halvings for n in spatial)


def gaussian(latents: tuple[Array, ...], samples: int, splits: int) -> Any:
    """Log-density of the standard Gaussian at each sample."""
    return sum(
        -half_squares(latent, samples, splits) - latent.size // samples * math.log(2 * math.pi) / 2
        for latent in latents
    )


def half_squares(latent: Array, samples: int, splits: int) -> Any:
    """Half the sum of the squares of each sample's elements."""
    if not isinstance(latent, np.ndarray):
        return latent.half_squares(samples, splits)
    elements = by_sample(latent, samples, splits).astype(np.float64, copy=False)
    return np.einsum("ij,ij->j", elements, elements) / 2


def difference(array: Any, true: Any) -> float:
    """The norm of the difference, relative to that of the true array; zero where that is not finite itself.

    Elements smaller than the root of epsilon count as so large: latents begin at zero, and rounding is relative to more
    than that.
    """
    norm = square_norm(true)
    if not math.isfinite(norm):
        return 0.0
    relative = math.sqrt(square_norm(array - true) / max(norm, math.prod(true.shape) * float(np.finfo(true.dtype).eps)))
    return math.inf if math.isnan(relative) else relative


def square_norm(array: Array) -> float:
    """The sum of the squares of all elements, in float64."""
    if not isinstance(array, np.ndarray):
        return array.sum_of_squares()
    return float(np.sum(np.square(array, dtype=np.float64)))
