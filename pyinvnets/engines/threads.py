"""How many threads the NumPy engine uses, and those of NumPy's own library for matrix products meanwhile.

A library such as OpenBLAS lets its threads wait for each other in a loop at every product. On a machine with other work
to do that costs more than it gains, up to a hundred times, so the engine gives each of its own threads a part of the
batch, and the library one thread. Python's threads suffer too, since each waits its turn for the interpreter's lock: so
it is measured whether they get on, and while they do not, one thread computes all parts.
"""

from __future__ import annotations

import functools
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_chosen: int | None = None


def set_num_threads(n: int | None) -> None:
    """Choose how many threads the NumPy engine uses for large batches; small ones need one.

    A large batch is cut into so many parts, each of which has a thread to itself unless other work on the machine makes
    threads slower than none. The same number gives the same results to the last bit, whatever else the machine does;
    another number changes their rounding. What cannot be cut, such as a single layer, has one thread by default, and
    otherwise n in NumPy's library for matrix products. Julia's threads are chosen by `init`.

    Args:
        n: how many, or `None` for the default: as many as NumPy's library for matrix products had when the engine was
            first used (`OPENBLAS_NUM_THREADS` and the like set that), and at most the cores that the process may use.

    Raises:
        ValueError: n is no positive integer.
    """
    global _chosen
    if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 1):
        raise ValueError(f"set_num_threads: n must be a positive integer or None, got {n!r}")
    _chosen = n


def num_threads() -> int:
    """How many threads there are for a large batch."""
    return _chosen or _default()


def blas_threads() -> int:
    """How many threads the library of matrix products has for a large batch that is not cut."""
    return _chosen or 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _default() -> int:
    return min([_cores(), *(library.get_num_threads() for library in _libraries())])


@functools.cache
def _libraries() -> list[Any]:
    """The libraries of matrix products in this process. To look for them takes milliseconds, to call them none."""
    from threadpoolctl import ThreadpoolController

    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


_lock = threading.RLock()

_limits: weakref.WeakSet[BlasThreads] = weakref.WeakSet()

_before: list[int] = []
"""The libraries' threads before the first of the limits."""


def _alone(function: Callable[..., None], *arguments: int) -> None:
    """Call what one thread at a time may do.

    It takes microseconds. So a lock that is held for a second is that of a call which an interrupt ended before it
    could let go, and a new one takes its place: without that, all other threads would wait for good.
    """
    global _lock
    lock = _lock
    if not lock.acquire(timeout=1.0):
        lock = _lock = threading.RLock()
        lock.acquire()
    try:
        function(*arguments)
    finally:
        lock.release()


class BlasThreads:
    """A limit of the library's threads, in the whole process, from `begin` to `end`.

    Of several at the same time the last one's number counts, and the number of before comes back after all of them.
    """

    def begin(self, n: int) -> None:
        _default()  # Before the limit: it asks the libraries.
        _alone(self._begin, n)

    def _begin(self, n: int) -> None:
        if not _before:
            _before[:] = [library.get_num_threads() for library in _libraries()]
        _limits.add(self)
        for library in _libraries():
            library.set_num_threads(n)

    def end(self) -> None:
        _alone(self._end)

    def _end(self) -> None:
        _limits.discard(self)
        if not _limits and _before:
            for library, n in zip(_libraries(), _before, strict=True):
                library.set_num_threads(n)
            _before.clear()


class Crowd:
    """Whether the machine has so much other work that threads are slower than none.

    Threads that together get less time of the processors than passes on the clock do worse than one thread would. For
    some time after that one thread is enough; then they are tried again.
    """

    _TRIALS = 0.05
    """The share of the time that trials may take."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def present(self) -> bool:
        return time.monotonic() < self._until

    def judge(self, seconds: float, of_processors: float) -> None:
        """Learn from how long threads took, and how long processors worked for them."""
        if of_processors < seconds:
            self._until = time.monotonic() + seconds / self._TRIALS


CROWD = Crowd()


def in_turns_or_threads(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls give, made in threads of their own, or one after the other on a machine with other work."""
    if len(calls) == 1 or CROWD.present:
        return [call() for call in calls]
    spent: list[float] = []

    def timed(call: Callable[[], T]) -> T:
        start = time.thread_time()
        result = call()
        spent.append(time.thread_time() - start)
        return result

    start = time.perf_counter()
    results = in_threads([functools.partial(timed, call) for call in calls])
    CROWD.judge(time.perf_counter() - start, sum(spent))
    return results


def in_threads(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls give, each made in a thread of its own, the first one in this thread.

    All have ended when this returns. The first error among them is raised.
    """
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []

    def make(i: int) -> None:
        try:
            results[i] = calls[i]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=make, args=(i,), daemon=True) for i in range(1, len(calls))]
    try:
        for thread in threads:
            thread.start()
        results[0] = calls[0]()
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if errors:
        raise errors[0]
    return results
