"""The elements of each sample in a latent, and the standard Gaussian's density of them."""

from __future__ import annotations

import math

import numpy as np

from ..engines.julia.device_array import DeviceArray

Array = np.ndarray | DeviceArray


# The elements of each sample


def part_sizes(size: int, splits: int) -> list[int]:
    """How many of the `size` elements of a sample leave after each split, which halves what is there, and the rest."""
    return [*(size >> i for i in range(1, splits + 1)), size >> splits]


def by_sample(latent: np.ndarray, samples: int, splits: int) -> np.ndarray:
    """A latent's elements, shape `(elements, n_samples)`; after splits it holds part after part, of all samples."""
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
    """The size of images whose `before` channels have become `after`, as squeezes make them: axes halve or double."""
    halvings = round(math.log2(after / before) / len(spatial))
    return tuple(n >> halvings if halvings >= 0 else n << -halvings for n in spatial)


def _gaussian(latents: list[Array], samples: int, splits: int) -> Array:
    """Log-density of the standard Gaussian at each sample."""
    return sum(
        -_half_squares(latent, samples, splits) - latent.size // samples * math.log(2 * math.pi) / 2
        for latent in latents
    )


def _half_squares(latent: Array, samples: int, splits: int) -> Array:
    if isinstance(latent, DeviceArray):
        return latent.half_squares(samples, splits)
    elements = by_sample(latent, samples, splits).astype(np.float64, copy=False)
    return np.einsum("ij,ij->j", elements, elements) / 2
