"""From Julia's exceptions to Python's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


class JuliaError(RuntimeError):
    """An exception in Julia that fits no class of Python's.

    Every exception that comes from Julia, of this class or another, has `julia_trace`: Julia's message and
    backtrace in full.
    """

    julia_trace: str


FORKED = (
    "Julia cannot be used in a forked child of a process that started it; start the child with "
    'multiprocessing.get_context("spawn")'
)

_CLASSES: dict[str, type[BaseException]] = {
    "ArgumentError": ValueError,
    "BoundsError": ValueError,
    "DimensionMismatch": ValueError,
    "DomainError": ValueError,
    "InexactError": ValueError,
    "MethodError": TypeError,
    "TypeError": TypeError,
    "OutOfMemoryError": MemoryError,
    "InterruptException": KeyboardInterrupt,
}


def translated(error: Any) -> BaseException:
    """The Python exception for juliacall's error: of the fitting class, with Julia's first line as its message."""
    import juliacall

    trace = str(error)
    kind = str(juliacall.Base.nameof(juliacall.Base.typeof(error.exception)))
    message = str(juliacall.Base.sprint(juliacall.Base.showerror, error.exception)).split("\n", 1)[0]
    translation = _CLASSES.get(kind, JuliaError)(message)
    translation.julia_trace = trace  # type: ignore[attr-defined]
    return translation


@contextlib.contextmanager
def translation() -> Iterator[None]:
    """Turn juliacall's errors inside the block into Python's."""
    import juliacall

    try:
        yield
    except juliacall.JuliaError as error:
        raise translated(error) from None
