"""Where `fit` takes its batches from: arrays, which it reads by index, or the user's own iterable of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..arrays.spec import ArraySpec
from ..networks.base.layer import Layer

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


def training_data(
    G: Layer,
    inputs: dict[str, ArraySpec],
    X: Any,
    condition: Any,
    epochs: int,
    batch_size: int | None,
    validation: Any,
    rng: np.random.Generator,
) -> tuple[Samples | Stream, Samples | None]:
    """The batches to train on, and the samples that are held out, from `fit`'s arguments.

    Args:
        inputs: what the network's `forward` takes.
        rng: for the split.

    Raises:
        TypeError, ValueError: arguments that do not fit the network or each other.
    """
    if isinstance(X, np.ndarray):
        arrays = _checked_samples(G, inputs, X, condition)
        if batch_size is None:
            raise ValueError("fit: batch_size is needed where X is an array")
        if isinstance(validation, (int, float)):
            return _split(arrays, batch_size, _checked_part(validation), rng)
        return Samples(arrays, np.arange(X.shape[-1]), batch_size), _held_out(G, inputs, validation, batch_size)
    if not isinstance(X, Iterable):
        raise TypeError(f"fit: X must be a NumPy array or an iterable of batches, got {type(X).__name__}")
    if condition is not None:
        raise ValueError("fit: where X is an iterable, its batches are tuples (X, condition)")
    if iter(X) is X and epochs > 1:
        raise ValueError("fit: X is an iterator, which lasts for one epoch; give a list, or an object with __iter__")

    def checked(batch: Batch) -> Batch:
        if len(batch) != len(inputs):
            raise ValueError(f"fit: a batch must be of {', '.join(inputs)}, got {len(batch)} array(s)")
        return G.checked("fit", tuple(inputs.values()), dict(zip(inputs, map(G.place, batch), strict=True)))

    if isinstance(validation, (int, float)):
        _checked_part(validation)
        return Stream(X, checked), None
    return Stream(X, checked), _held_out(G, inputs, validation, batch_size)


def _checked_samples(G: Layer, inputs: dict[str, ArraySpec], X: Any, condition: Any) -> Batch:
    if (condition is not None) != (len(inputs) == 2):
        wanted = "takes X alone" if condition is not None else "also takes a condition"
        raise ValueError(f"fit: {type(G).__name__} {wanted}")
    arrays = {"X": X} if condition is None else {"X": X, "condition": condition}
    first = {k: G.place(a[..., :1]) if isinstance(a, np.ndarray) and a.ndim else a for k, a in arrays.items()}
    G.checked("fit", tuple(inputs.values()), first)
    if condition is not None and X.shape[-1] != condition.shape[-1]:
        raise ValueError(
            f"fit: X and condition must have equally many samples, got {X.shape[-1]} and {condition.shape[-1]}"
        )
    return tuple(arrays.values())


def _checked_part(validation: float) -> float:
    if not 0 <= validation < 1:
        raise ValueError(f"fit: validation must be in [0, 1), or samples, got {validation}")
    return validation


def _split(arrays: Batch, batch_size: int, part: float, rng: np.random.Generator) -> tuple[Samples, Samples | None]:
    n = arrays[0].shape[-1]
    if not part:
        return Samples(arrays, np.arange(n), batch_size), None
    count = max(1, round(n * part))
    if count >= n:
        raise ValueError(f"fit: validation={part} of {n} sample(s) leaves none to train on; give validation=0")
    order = rng.permutation(n)
    held_out, others = np.sort(order[:count]), np.sort(order[count:])
    return Samples(arrays, others, batch_size), Samples(arrays, held_out, batch_size)


def _held_out(G: Layer, inputs: dict[str, ArraySpec], validation: Any, batch_size: int | None) -> Samples:
    arrays = validation if isinstance(validation, tuple) else (validation,)
    if len(arrays) != len(inputs):
        raise ValueError(f"fit: validation samples must be of {', '.join(inputs)}, got {len(arrays)} array(s)")
    arrays = _checked_samples(G, inputs, *arrays, *[None] * (2 - len(arrays)))
    n = arrays[0].shape[-1]
    return Samples(arrays, np.arange(n), batch_size or n)
