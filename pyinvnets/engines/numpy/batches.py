"""Batches in parts of some samples each.

The memory of an array holds one sample after the other, but for a latent of several scales: it holds the parts that
leave at each scale one after the other, each of them with one sample after the other.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

TAKE_LATENTS = {"inverse", "inverse_Y", "backward"}
"""The methods that take latents and give data; the others go the other way."""

WITH_DERIVATIVES = {"backward", "jacobian"}
"""The methods that take and give derivatives of the data and latents too, before these."""


def shares(samples: int, n: int) -> list[slice]:
    """`n` parts of a batch, as equal as can be."""
    cuts = [samples * i // n for i in range(n + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(cuts)]


def _blocks(array: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """Views `(n_samples, size)` of the parts in a column-major array's memory, from the size of each in one sample."""
    memory = array.ravel(order="K")
    samples = memory.size // sum(sizes)
    starts = np.cumsum([0, *(samples * size for size in sizes)])
    return [
        memory[start : start + samples * size].reshape(samples, size)
        for start, size in zip(starts, sizes, strict=False)
    ]


def taken(array: np.ndarray, part: slice, sizes: list[int] | None) -> np.ndarray:
    """Some samples of a column-major array; `sizes` is `None` where its memory holds sample after sample."""
    if sizes is None:
        return array[..., part]
    memory = np.concatenate([block[part].ravel() for block in _blocks(array, sizes)])
    return memory if array.ndim == 1 else memory.reshape(*array.shape[:-1], -1, order="F")


def joined(arrays: list[np.ndarray], sizes: list[int] | None) -> np.ndarray:
    """The batch of which `taken` gave the parts."""
    first = arrays[0]
    if sizes is None:
        return np.concatenate([array.T for array in arrays]).T
    memory = np.concatenate(
        [block.ravel() for blocks in zip(*(_blocks(a, sizes) for a in arrays), strict=True) for block in blocks]
    )
    return memory if first.ndim == 1 else memory.reshape(*first.shape[:-1], -1, order="F")


class Cutting:
    """How the arrays of one of a layer's methods are cut into parts of the batch, and what it gives is joined."""

    def __init__(self, layer, method: str) -> None:
        self._layer, self._takes_latents = layer, method in TAKE_LATENTS
        self._count = layer.lanes * (2 if method in WITH_DERIVATIVES else 1)

    def take(self, arrays: tuple[np.ndarray, ...], part: slice) -> tuple[np.ndarray, ...]:
        sizes = self._sizes(arrays, self._takes_latents)
        return tuple(taken(array, part, of_array) for array, of_array in zip(arrays, sizes, strict=True))

    def join(self, results: list[tuple[Any, ...]], tracked: bool) -> tuple[Any, ...]:
        """One result of the results of all parts; where `tracked`, the last is log-determinants."""
        *each, last = [list(values) for values in zip(*results, strict=True)]
        if not tracked:
            each.append(last)
        sizes = self._sizes(tuple(arrays[0] for arrays in each), not self._takes_latents)
        whole = tuple(joined(arrays, of_array) for arrays, of_array in zip(each, sizes, strict=True))
        if not tracked:
            return whole
        return *whole, last[0] if isinstance(last[0], float) else np.concatenate(last)

    def _sizes(self, arrays: tuple[np.ndarray, ...], latents: bool) -> list[list[int] | None]:
        return [self._layer.sizes(array, latents) if i < self._count else None for i, array in enumerate(arrays)]
