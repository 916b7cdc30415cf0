"""Batches of arrays that are not in memory, and are read best in blocks: datasets in HDF5 and Zarr files, Dask arrays.

Such a file is shuffled in two steps: its blocks, and then the samples of some blocks that are in memory together.
Which samples make a batch depends on the seed and the file alone, not on how many processes share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays.stored import StoredArray
from .batches import Portion, Samples, ahead

_WINDOW = 2**26
"""Bytes of the samples that are in memory and shuffled together, beside as many that are being read."""


@dataclass(frozen=True)
class _Window:
    """The batches of samples that are in memory together: the numbers of each, and how many it has in all."""

    own: list[np.ndarray]
    shares: list[tuple[slice, int]]


class StoredSamples(Samples):
    """As `Samples`, where some of the arrays are `StoredArray`."""

    def shuffled(self, rng: np.random.Generator) -> Iterator[Portion]:
        order = by_blocks(self._chosen, self._block(), rng)
        window = self._in_window()
        parts = [rng.permutation(order[first : first + window]) for first in range(0, len(order), window)]
        return self._batches(np.concatenate(parts))

    def _stored(self) -> list[StoredArray]:
        return [array for array in self._arrays.values() if isinstance(array, StoredArray)]

    def _block(self) -> int:
        return block_of(*self._stored())

    def _in_window(self) -> int:
        """How many samples a window has: whole batches, and not less than two blocks."""
        wanted = max(_WINDOW // sum(array.sample_bytes for array in self._stored()), 2 * self._block())
        return self._batch_size * max(1, wanted // self._batch_size)

    def _batches(self, order: np.ndarray) -> Iterator[Portion]:
        step = self._in_window()
        windows = (self._window(order[first : first + step]) for first in range(0, len(order), step))
        for portions in ahead(self._portions, windows):
            yield from portions

    def _window(self, order: np.ndarray) -> _Window:
        batches = [np.sort(order[i : i + self._batch_size]) for i in range(0, len(order), self._batch_size)]
        shares = [(self._share(len(numbers)), len(numbers)) for numbers in batches]
        return _Window([numbers[share] for numbers, (share, _) in zip(batches, shares, strict=True)], shares)

    def _portions(self, window: _Window) -> list[Portion]:
        numbers = np.sort(np.concatenate(window.own))
        arrays = self._read(numbers)
        places = [np.searchsorted(numbers, own) for own in window.own]
        return [
            Portion(tuple(array.T[place].T for array in arrays), share, samples)
            for place, (share, samples) in zip(places, window.shares, strict=True)
        ]


def block_of(*arrays: StoredArray) -> int:
    """How many samples are best read together of all these."""
    return max(array.block for array in arrays)


def by_blocks(numbers: np.ndarray, block: int, rng: np.random.Generator) -> np.ndarray:
    """The samples of one block after the other, the blocks in random order.

    Args:
        numbers: in ascending order.
    """
    of_each = numbers // block
    place = rng.permutation(int(of_each[-1]) + 1)
    return numbers[np.argsort(place[of_each], kind="stable")]
