"""Where `fit` takes its batches from: arrays, which it reads by index, or the user's own iterable of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

Batch = tuple[np.ndarray, ...]


def read(arrays: Batch, chosen: np.ndarray) -> Batch:
    """The chosen samples alone, in memory: of a memory-mapped array nothing else is read."""
    return tuple(np.asarray(array.T[chosen]).T for array in arrays)


class Samples:
    """Some samples of arrays that have them on their last axis.

    Args:
        arrays: of equally many samples; they may be memory-mapped.
        chosen: the samples' indices.
        batch_size: the last batch of an epoch may be smaller.
    """

    def __init__(self, arrays: Batch, chosen: np.ndarray, batch_size: int) -> None:
        self._arrays, self._chosen, self._batch_size = arrays, chosen, batch_size

    def __len__(self) -> int:
        """The number of batches."""
        return -(-len(self._chosen) // self._batch_size)

    def shuffled(self, rng: np.random.Generator) -> Iterator[Batch]:
        return self._batches(rng.permutation(self._chosen))

    def in_order(self) -> Iterator[Batch]:
        return self._batches(self._chosen)

    def _batches(self, order: np.ndarray) -> Iterator[Batch]:
        for first in range(0, len(order), self._batch_size):
            # A batch has no order, and a disk is read faster forwards.
            yield read(self._arrays, np.sort(order[first : first + self._batch_size]))


class Stream:
    """Batches as an iterable gives them, each epoch anew.

    Args:
        batches: of arrays, or of tuples of arrays.
        checked: gives a batch back, or raises an error.
    """

    def __init__(self, batches: Iterable[Any], checked: Callable[[Batch], Batch]) -> None:
        self._batches, self._checked = batches, checked

    def shuffled(self, rng: np.random.Generator) -> Iterator[Batch]:
        """In the iterable's own order: what is not there yet cannot be shuffled."""
        empty = True
        for batch in self._batches:
            empty = False
            yield self._checked(tuple(batch) if isinstance(batch, (tuple, list)) else (batch,))
        if empty:
            raise ValueError("fit: X gave no batches in this epoch; expected an iterable that starts anew each time")
