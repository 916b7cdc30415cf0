"""Training on several processes at once, the ranks of an MPI communicator: each takes its share of every batch.

All have the whole network, and make the same updates of it: the objective and the gradients are summed over the ranks
between the moment that they are known and the update. The stand-in for a single process is `Alone`.

What happens on one rank alone, such as an error, Ctrl-C or an answer of a callback, is told to the others where they
meet next. For that every meeting begins with the same small sum, in which a rank can say that it failed, so that no
rank waits for one that has gone.

Source: mpi4py, https://mpi4py.readthedocs.io; Goyal et al. (2017), «Accurate, Large Minibatch SGD»,
https://arxiv.org/abs/1706.02677, for the mean over all samples of a batch.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from ..arrays.cuda_interface import to_numpy
from ..networks.base.layer import Layer
from ..networks.base.parameters import get_params
from .batches import Batch
from .gradients import Evaluation, Gradients, differentiated, gradient_vector, write_gradients
from .losses import Objective

T = TypeVar("T")


class Alone:
    """One process, which takes all of a batch and has nobody to tell.

    Attributes:
        rank: this process's number.
        size: how many there are.
        speaks: whether this is the one that writes files and shows progress.
    """

    rank, size, speaks = 0, 1, True

    def share(self, samples: int) -> slice:
        """Which samples of a batch are this rank's."""
        return slice(0, samples)

    @contextlib.contextmanager
    def agreed(self) -> Iterator[None]:
        """A part of the program that all ranks come to the end of, or none does."""
        yield

    def of_first(self, function: Callable[[], T]) -> T:
        """What the function gives on rank 0, which alone calls it."""
        return function()

    def gathered(self, value: T) -> list[T]:
        """The values of all ranks, on each of them."""
        return [value]

    def meet(self, error: BaseException | None = None) -> None:
        """Wait for the others, and tell them what this rank ends with.

        Raises:
            BaseException: what the first of the ranks ends with that do.
        """

    def open(self, objective: Objective, network: Layer) -> None:
        """Begin a training, from the weights of rank 0."""

    def initialise(self, objective: Objective, network: Layer, batch: Batch) -> None:
        """Set ActNorm from the first batch of all ranks together, where it is not set."""

    def together(self, batch: Batch) -> Batch:
        """The batch of which each rank has its share."""
        return batch

    def evaluate(self, objective: Objective, network: Layer, batch: Batch) -> Evaluation:
        """The objective at a batch of which each rank has its share; only its own gradients can be set of it."""
        return objective.evaluate(network, batch)

    def gradients(self, objective: Objective, network: Layer, batch: Batch) -> Gradients:
        """The gradients at a batch of which each rank has its share; raises as `Objective.gradients`."""
        return objective.gradients(network, batch)


class Ranks(Alone):
    """The processes of an MPI communicator.

    Attributes:
        comm: the communicator.
        terms: the names of the objective's terms, from `open` on.
    """

    def __init__(self, comm: Any) -> None:
        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self.speaks = self.rank == 0
        self.terms: tuple[str, ...] = ()
        self._width, self._ended = 0, False

    def share(self, samples: int) -> slice:
        return slice(samples * self.rank // self.size, samples * (self.rank + 1) // self.size)

    # Meetings

    @contextlib.contextmanager
    def agreed(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.meet(error)
            raise
        self.meet()

    def of_first(self, function: Callable[[], T]) -> T:
        value = function() if self.rank == 0 else None
        self.meet()
        return self.comm.bcast(value)

    def gathered(self, value: T) -> list[T]:
        self.meet()
        return self.comm.allgather(value)

    def meet(self, error: BaseException | None = None) -> None:
        if not self._ended:
            self._sum(error=error)

    def _sum(self, values: tuple[float, ...] = (), error: BaseException | None = None) -> np.ndarray:
        """The sums over all ranks: of as many numbers at each meeting of a training, most often zeros."""
        numbers = np.zeros(1 + self._width)
        numbers[1 : 1 + len(values)] = values
        numbers[0] = error is not None
        self._add_up(numbers)
        if numbers[0]:
            self._raise_first(error)
        return numbers[1:]

    def _add_up(self, numbers: np.ndarray) -> None:
        """Sum an array over all ranks, in place."""
        from mpi4py import MPI

        self.comm.Allreduce(MPI.IN_PLACE, numbers)

    def _raise_first(self, error: BaseException | None) -> None:
        errors = self.comm.allgather(None if error is None else _portable(error))
        failed = next((rank for rank, each in enumerate(errors) if each is not None), None)
        if failed is None:
            return
        self._ended = True
        raise _told(errors[failed], failed) if error is None or failed != self.rank else error

    # Training

    def open(self, objective: Objective, network: Layer) -> None:
        self.terms, self._width = tuple(objective.terms), 3 + len(objective.terms)
        self._copy_of_first(network)

    def _copy_of_first(self, network: Layer) -> None:
        """Give every rank the weights of rank 0, to the last bit."""
        values = self.of_first(lambda: [None if p.data is None else to_numpy(p.data) for p in get_params(network)])
        if self.rank:
            for p, value in zip(get_params(network), values, strict=True):
                if value is not None:
                    p.data = value

    def initialise(self, objective: Objective, network: Layer, batch: Batch) -> None:
        if any(p.data is None for p in get_params(network)):
            whole: Any = map(network.place, self.together(batch))
            objective.evaluate(network, tuple(whole))
            self._copy_of_first(network)

    def together(self, batch: Batch) -> Batch:
        shares = self.gathered(tuple(map(to_numpy, batch)))
        return tuple(np.asfortranarray(np.concatenate(parts, axis=-1)) for parts in zip(*shares, strict=True))

    def evaluate(self, objective: Objective, network: Layer, batch: Batch) -> Evaluation:
        own, error = _tried(objective.evaluate, network, batch) if batch[0].shape[-1] else (None, None)
        weighted: tuple[float, ...] = ()
        if own is not None:
            values = (1.0, own.dimensions, own.objective, *(own.terms[name] for name in self.terms))
            weighted = tuple(own.samples * value for value in values)
        samples, *sums = self._sum(weighted, error).tolist()
        dimensions, value, *terms = (total / samples for total in sums)

        def set_gradients() -> None:
            self._set_gradients(network, own, samples)

        named = dict(zip(self.terms, terms, strict=True))
        return Evaluation(value, named, int(samples), int(dimensions), set_gradients)

    def gradients(self, objective: Objective, network: Layer, batch: Batch) -> Gradients:
        return differentiated(network, self.evaluate(objective, network, batch))

    def _set_gradients(self, network: Layer, own: Evaluation | None, samples: float) -> None:
        """Set the gradients of all ranks' samples. A rank that fails gives what is no number, for the others wait for
        its gradients and nothing else."""
        vector, error = _tried(_own_gradients, network, own)
        if vector is None:
            vector = np.full(sum(math.prod(p.shape) for p in get_params(network)), np.nan, network.dtype)
        vector *= (own.samples if own else 0) / samples
        self._add_up(vector)
        if np.isnan(vector[0]):
            self._raise_first(error)
        if network.model.gradient_vector() is not vector:
            write_gradients(network, vector)


def ranks_of(comm: Any) -> Alone:
    """The ranks of a communicator; `Alone` where there is one, or no communicator.

    Raises:
        TypeError: it is no communicator of mpi4py.
    """
    if comm is None:
        return Alone()
    if not all(callable(getattr(comm, name, None)) for name in ("Get_rank", "Get_size", "Allreduce", "allgather")):
        raise TypeError(f"fit: comm must be a communicator of mpi4py, such as MPI.COMM_WORLD, got {comm!r}")
    return Ranks(comm) if comm.Get_size() > 1 else Alone()


def _own_gradients(network: Layer, own: Evaluation | None) -> np.ndarray:
    """The gradients of this rank's samples, of which there may be none."""
    if own is not None:
        own.set_gradients()
    else:
        for p in get_params(network):
            p.grad = np.zeros(p.shape, network.dtype)
    return gradient_vector(network)


def _tried(function: Callable[..., T], *arguments: Any) -> tuple[T | None, BaseException | None]:
    try:
        return function(*arguments), None
    except BaseException as error:
        return None, error


# Errors of one rank on the others


def _portable(error: BaseException) -> BaseException:
    """The error, or one with its words where it cannot go from one process to another."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _told(error: BaseException, rank: int) -> BaseException:
    """An error of another rank, which that rank shows where nobody catches it; here it ends the program silently."""
    error.told_by = rank  # type: ignore[attr-defined]
    if not isinstance(sys.excepthook, types.MethodType) or sys.excepthook.__func__ is not _show_own:
        sys.excepthook = types.MethodType(_show_own, sys.excepthook)
    return error


def _show_own(before: Callable[..., Any], kind: type, error: BaseException, traceback: Any) -> None:
    """As `sys.excepthook`."""
    if told_by(error) is None:
        before(kind, error, traceback)


def told_by(error: BaseException) -> int | None:
    """The rank that an error is of, where that is another one."""
    return getattr(error, "told_by", None)
