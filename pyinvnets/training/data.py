"""The data of a training, from the arguments of `fit`: checked, and split where a part is to be held out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays.scalars import is_real
from ..arrays.spec import ArraySpec
from ..arrays.stored import StoredArray, as_stored, take
from ..networks.base.layer import Layer
from .batches import Batch, Draws, Samples, Share, Stream, cast, check_finite, chunks, is_outside
from .stored import StoredSamples, block_of, by_blocks

BATCH_SIZE = 128
"""Where none is given."""

_IN_FINGERPRINT = 256
"""How many samples of an array are read for its fingerprint."""

_IN_FINGERPRINT_OF_STORED = 16
"""As many of one of which a whole block is read for each."""

Arrays = dict[str, np.ndarray | StoredArray]


@dataclass(frozen=True)
class Data:
    """What a training is made on.

    Attributes:
        batches: to train on.
        held_out: samples for validation, or `None`.
        samples: how many there are, the held-out part included; `None` where an iterable or the objective gives them.
        fingerprint: by which other arrays can be told from these; `None` where an iterable or the objective gives the
            batches.
    """

    batches: Samples | Stream | Draws
    held_out: Samples | Draws | None
    samples: int | None = None
    fingerprint: str | None = None


def training_data(
    G: Layer,
    inputs: dict[str, ArraySpec],
    X: Any,
    condition: Any,
    epochs: int,
    batch_size: int | None,
    validation: Any,
    rng: np.random.Generator,
    share: Share,
) -> Data:
    """The batches to train on, and the samples that are held out, from `fit`'s arguments.

    Args:
        inputs: what a batch holds.
        rng: for the split.
        share: which samples of a batch are this process's.

    Raises:
        TypeError, ValueError: arguments that do not fit the network or each other, or a value that is not finite in an
            array in memory.
    """
    if isinstance(as_stored(X), (np.ndarray, StoredArray)):
        return _of_arrays(G, inputs, X, condition, batch_size or BATCH_SIZE, validation, rng, share)
    if not isinstance(X, Iterable):
        raise TypeError(f"fit: X must be a NumPy array or an iterable of batches, got {type(X).__name__}")
    if condition is not None:
        raise ValueError("fit: where X is an iterable, its batches are tuples (X, condition)")
    if iter(X) is X and epochs > 1:
        raise ValueError("fit: X is an iterator, which lasts for one epoch; give a list, or an object with __iter__")
    stream = _stream(G, inputs, X, share)
    if is_real(validation):
        _check_part(validation)
        return Data(stream, None)
    held_out = _held_out_arrays(G, inputs, validation)
    samples = _whole(held_out, batch_size or next(iter(held_out.values())).shape[-1], G.dtype, share)
    return Data(stream, samples)


def drawn_data(
    draw: Callable[[np.random.Generator, int], Batch],
    updates: int,
    batch_size: int,
    validation: Any,
    rng: np.random.Generator,
    share: Share,
) -> Data:
    """Batches that an objective draws: `updates` of them in an epoch, and for validation a part of as many samples,
    which stay the same.

    Raises:
        TypeError: validation is no number.
        ValueError: it is not in [0, 1).
    """
    if not is_real(validation):
        raise TypeError(
            f"fit: validation must be a number where the objective draws the samples, got {type(validation).__name__}"
        )
    held_out, seed = round(_check_part(validation) * updates * batch_size), int(rng.integers(2**63))
    whole, rest = divmod(max(1, held_out), batch_size)
    sizes = [*[batch_size] * whole, *[rest] * (rest > 0)]
    return Data(
        Draws(draw, [batch_size] * updates, share, seed), Draws(draw, sizes, share, seed) if validation else None
    )


def _of_arrays(
    G: Layer,
    inputs: dict[str, ArraySpec],
    X: Any,
    condition: Any,
    batch_size: int,
    validation: Any,
    rng: np.random.Generator,
    share: Share,
) -> Data:
    arrays = _checked_samples(G, inputs, X, condition)
    held_out = {}
    if is_real(validation):
        samples, of_validation = _split(arrays, batch_size, _check_part(validation), G.dtype, rng, share)
    else:
        held_out = _held_out_arrays(G, inputs, validation)
        samples, of_validation = (_whole(each, batch_size, G.dtype, share) for each in (arrays, held_out))
    mark = _fingerprint([*arrays.values(), *held_out.values()], G.dtype)
    return Data(samples, of_validation, arrays["X"].shape[-1], mark)


def _stream(G: Layer, inputs: dict[str, ArraySpec], batches: Iterable[Any], share: Share) -> Stream:
    def checked(batch: Batch) -> Batch:
        if len(batch) != len(inputs):
            raise ValueError(f"fit: a batch must be of {', '.join(inputs)}, got {len(batch)} array(s)")
        arrays = {
            name: G.place(cast(array, G.dtype) if isinstance(array, np.ndarray) else array)
            for name, array in zip(inputs, batch, strict=True)
        }
        placed: Any = G.checked("fit", tuple(inputs.values()), arrays)
        for name, array in zip(inputs, placed, strict=True):
            if isinstance(array, np.ndarray):
                check_finite(f"fit: {name} of a batch", array)
        return placed

    return Stream(batches, checked, share)


def _checked_samples(G: Layer, inputs: dict[str, ArraySpec], X: Any, condition: Any) -> Arrays:
    if (condition is not None) != (len(inputs) == 2):
        wanted = "takes X alone" if condition is not None else "also takes a condition"
        raise ValueError(f"fit: {type(G).__name__} {wanted}")
    given = {"X": X} if condition is None else {"X": X, "condition": condition}
    arrays = {name: as_stored(array) for name, array in given.items()}
    G.checked("fit", tuple(inputs.values()), {name: _first(G, array) for name, array in arrays.items()})
    if len({array.shape[-1] for array in arrays.values()}) > 1:
        numbers = " and ".join(str(array.shape[-1]) for array in arrays.values())
        raise ValueError(f"fit: X and condition must have equally many samples, got {numbers}")
    for name, array in arrays.items():
        if not is_outside(array):
            for first, some in chunks(array):
                check_finite(f"fit: {name}", cast(some, G.dtype), np.arange(first, first + some.shape[-1]))
    return arrays


def _first(G: Layer, array: Any) -> Any:
    """The first sample, as a network takes it."""
    if isinstance(array, StoredArray):
        return G.place(cast(array.take(np.arange(min(1, array.shape[-1]))), G.dtype))
    if not isinstance(array, np.ndarray) or not array.ndim:
        return array
    return G.place(cast(array[..., :1], G.dtype))


def _check_part(validation: float) -> float:
    if not 0 <= validation < 1:
        raise ValueError(f"fit: validation must be in [0, 1), or samples, got {validation}")
    return validation


def _split(
    arrays: Arrays, batch_size: int, part: float, dtype: np.dtype, rng: np.random.Generator, share: Share
) -> tuple[Samples, Samples | None]:
    n = arrays["X"].shape[-1]
    if not part:
        return _whole(arrays, batch_size, dtype, share), None
    count = max(1, round(n * part))
    if count >= n:
        raise ValueError(f"fit: validation={part} of {n} sample(s) leaves none to train on; give validation=0")
    stored = [array for array in arrays.values() if isinstance(array, StoredArray)]
    # Samples from all over a file would make validation read all of it.
    order = by_blocks(np.arange(n), block_of(*stored), rng) if stored else rng.permutation(n)
    held_out, others = np.sort(order[:count]), np.sort(order[count:])
    return _samples(arrays, others, batch_size, dtype, share), _samples(arrays, held_out, batch_size, dtype, share)


def _held_out_arrays(G: Layer, inputs: dict[str, ArraySpec], validation: Any) -> Arrays:
    arrays = validation if isinstance(validation, tuple) else (validation,)
    if len(arrays) != len(inputs):
        raise ValueError(f"fit: validation samples must be of {', '.join(inputs)}, got {len(arrays)} array(s)")
    return _checked_samples(G, inputs, *arrays, *[None] * (2 - len(arrays)))


def _whole(arrays: Arrays, batch_size: int, dtype: np.dtype, share: Share) -> Samples:
    return _samples(arrays, np.arange(arrays["X"].shape[-1]), batch_size, dtype, share)


def _samples(arrays: Arrays, chosen: np.ndarray, batch_size: int, dtype: np.dtype, share: Share) -> Samples:
    kind = StoredSamples if any(isinstance(array, StoredArray) for array in arrays.values()) else Samples
    return kind(arrays, chosen, batch_size, dtype, share)


def _fingerprint(arrays: Iterable[np.ndarray | StoredArray], dtype: np.dtype) -> str:
    """A hash of the shapes, and of samples spread over each array; of one outside memory no other is read."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(repr(array.shape).encode())
        for sample in _spread(array):
            digest.update(np.ascontiguousarray(cast(sample, dtype).T))
    return digest.hexdigest()


def _spread(array: np.ndarray | StoredArray) -> Iterator[np.ndarray]:
    n, most = array.shape[-1], _IN_FINGERPRINT_OF_STORED if isinstance(array, StoredArray) else _IN_FINGERPRINT
    for number in np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)):
        yield take(array, np.array([number]))
