"""Where `fit` takes its batches from: arrays, which it reads by index, or the user's own iterable of batches."""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..arrays.quiet import quietly
from ..arrays.stored import StoredArray, take

A = TypeVar("A")
B = TypeVar("B")

Batch = tuple[np.ndarray, ...]

_CHUNK = 2**20
"""How many numbers of an array are looked at together."""


class NotFiniteSample(ValueError):
    """A sample holds a value that is not finite."""


def ahead(make: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """What is made of each item, while a thread makes it of the next."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[B]] = deque()
        for item in items:
            waiting.append(thread.submit(make, item))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        if waiting:
            yield waiting.popleft().result()


def cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """An array of floats in the network's dtype, where what is too large becomes infinite; others as they are."""
    if array.dtype == dtype or array.dtype not in (np.float32, np.float64):
        return array
    return quietly(array.astype, dtype)


def chunks(array: np.ndarray | StoredArray) -> Iterator[tuple[int, np.ndarray]]:
    """Some samples after the other, each time with the number of the first."""
    n = array.shape[-1]
    if isinstance(array, StoredArray):
        for first in range(0, n, array.block):
            yield first, array.take(np.arange(first, min(first + array.block, n)))
        return
    step = max(1, _CHUNK // max(1, array.size // n))
    for first in range(0, n, step):
        yield first, array[..., first : first + step]


def check_finite(what: str, array: np.ndarray, numbers: np.ndarray | None = None) -> None:
    """Raise NotFiniteSample where a value is not finite.

    Args:
        numbers: the samples' numbers, for the message; their places in the array where it is `None`.
    """
    if np.isfinite(array).all():
        return
    bad = int((~np.isfinite(array.T)).reshape(array.shape[-1], -1).any(axis=1).argmax())
    number = bad if numbers is None else int(numbers[bad])
    raise NotFiniteSample(f"{what}: sample {number}, counted from 0, is not finite in {array.dtype}")


def is_outside(array: Any) -> bool:
    """Whether the array is stored, or its memory is a file's."""
    if isinstance(array, StoredArray):
        return True
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


@dataclass(frozen=True)
class Portion:
    """What this process takes of a batch: all of it, where it is alone.

    Attributes:
        own: the arrays.
        share: where their samples are in the batch.
        samples: how many the batch has.
    """

    own: Batch
    share: slice
    samples: int


Share = Callable[[int], slice]
"""From the number of samples in a batch to those of them that are this process's."""


class Samples:
    """Some samples of arrays that have them on their last axis, in the network's dtype.

    What is not in memory is read by a thread, while the batch before it is trained on.

    Args:
        arrays: of equally many samples, by their names; they may be memory-mapped.
        chosen: the samples' indices.
        batch_size: the last batch of an epoch may be smaller.
        dtype: of the batches.
        share: which samples of a batch are read.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray | StoredArray],
        chosen: np.ndarray,
        batch_size: int,
        dtype: np.dtype,
        share: Share,
    ) -> None:
        self._arrays, self._chosen, self._batch_size, self._dtype = arrays, chosen, batch_size, dtype
        self._share = share
        self._unseen = any(map(is_outside, arrays.values()))

    def __len__(self) -> int:
        """The number of batches."""
        return -(-len(self._chosen) // self._batch_size)

    def shuffled(self, rng: np.random.Generator) -> Iterator[Portion]:
        """The batches of an epoch.

        Raises:
            NotFiniteSample: a batch of an array outside memory, which nobody has read before, is not finite.
        """
        return self._batches(rng.permutation(self._chosen))

    def in_order(self) -> Iterator[Portion]:
        """All samples, as they are in the arrays; raises as `shuffled`."""
        return self._batches(self._chosen)

    def _batches(self, order: np.ndarray) -> Iterator[Portion]:
        firsts = range(0, len(order), self._batch_size)

        def portion(first: int) -> Portion:
            # A batch has no order, and a disk is read faster forwards.
            numbers = np.sort(order[first : first + self._batch_size])
            share = self._share(len(numbers))
            return Portion(self._read(numbers[share]), share, len(numbers))

        return ahead(portion, firsts) if self._unseen else map(portion, firsts)

    def _read(self, numbers: np.ndarray) -> Batch:
        batch = tuple(cast(take(array, numbers), self._dtype) for array in self._arrays.values())
        if self._unseen:
            for name, array in zip(self._arrays, batch, strict=True):
                check_finite(f"fit: {name}", array, numbers)
        return batch

    def completed(self, batch: Batch) -> Batch:
        """A batch with more samples, so that channels that are constant in it vary, where that is possible."""
        more = [
            number
            for own, array in zip(batch, self._arrays.values(), strict=True)
            for channel, value in _constants(own)
            if (number := self._first_other(array, channel, value)) is not None
        ]
        if not more:
            return batch
        return tuple(
            np.concatenate([own, other], axis=-1) for own, other in zip(batch, self._read(np.unique(more)), strict=True)
        )

    def _first_other(self, array: np.ndarray, channel: int, value: float) -> int | None:
        """The number of the first of the samples of which a channel has another value."""
        for first, some in chunks(array):
            of_channel = some[..., channel, :].T
            others = first + np.flatnonzero((value != of_channel).reshape(len(of_channel), -1).any(axis=1))
            others = others[np.isin(others, self._chosen)]
            if len(others):
                return int(others[0])
        return None


def _constants(array: np.ndarray) -> list[tuple[int, float]]:
    """The channels that are the same everywhere, with their values."""
    channels = np.moveaxis(array, -2, 0).reshape(array.shape[-2], -1)
    return [(i, row[0]) for i, row in enumerate(channels) if (row == row[0]).all()]


class Stream:
    """Batches as an iterable gives them, each epoch anew.

    Args:
        batches: of arrays, or of tuples of arrays.
        checked: gives a batch back, or raises an error.
        share: which samples of a batch are trained on.
    """

    def __init__(self, batches: Iterable[Any], checked: Callable[[Batch], Batch], share: Share) -> None:
        self._batches, self._checked, self._share = batches, checked, share

    def shuffled(self, rng: np.random.Generator) -> Iterator[Portion]:
        """In the iterable's own order: what is not there yet cannot be shuffled."""
        empty = True
        for batch in self._batches:
            empty = False
            whole = self._checked(tuple(batch) if isinstance(batch, (tuple, list)) else (batch,))
            samples = whole[0].shape[-1]
            share = self._share(samples)
            yield Portion(tuple(array[..., share] for array in whole), share, samples)
        if empty:
            raise ValueError("fit: X gave no batches in this epoch; expected an iterable that starts anew each time")

    def completed(self, batch: Batch) -> Batch:
        """The batch itself: no other is there yet."""
        return batch


class Draws:
    """Batches that are drawn, anew in every epoch.

    Args:
        draw: makes a batch of so many samples with a generator.
        sizes: the number of samples of each batch.
        share: which samples of a batch are this process's.
        seed: of the batches in order, which are always the same.
    """

    def __init__(
        self, draw: Callable[[np.random.Generator, int], Batch], sizes: Sequence[int], share: Share, seed: int
    ) -> None:
        self._draw, self._sizes, self._share, self._seed = draw, sizes, share, seed

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._sizes)

    def shuffled(self, rng: np.random.Generator) -> Iterator[Portion]:
        """The batches of an epoch."""
        for samples in self._sizes:
            share = self._share(samples)
            yield Portion(tuple(array[..., share] for array in self._draw(rng, samples)), share, samples)

    def in_order(self) -> Iterator[Portion]:
        """The same batches in every epoch."""
        return self.shuffled(np.random.default_rng(self._seed))

    def completed(self, batch: Batch) -> Batch:
        """The batch itself: what is drawn has no channel that is constant."""
        return batch
