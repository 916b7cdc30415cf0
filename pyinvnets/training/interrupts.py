"""Ctrl-C between two steps of a long computation, never in one."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

R = TypeVar("R")


class Interrupts:
    """Ctrl-C while a function runs: `KeyboardInterrupt` is raised at once, or at the end of a step that is `held`.

    Only where Ctrl-C does what Python gives it by default: a program's own handler stays. What is running is seen from
    the stack: nothing is switched that another exception, raised at a bad moment, could leave so.
    """

    def __init__(self) -> None:
        self._pending = False

    def watch(self, function: Callable[..., R], *arguments: Any) -> R:
        """Run the function that has held steps."""
        installed = _is_free()
        if installed:
            signal.signal(signal.SIGINT, _interrupt)
        try:
            return function(*arguments)
        finally:
            if installed:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def held(self, step: Callable[..., R], *arguments: Any) -> R:
        """Run a step that Ctrl-C does not cut in two."""
        self._pending = False
        try:
            return step(*arguments)
        finally:
            if self._pending:
                raise KeyboardInterrupt

    def wait(self) -> None:
        """Let `KeyboardInterrupt` be raised at the end of the step."""
        self._pending = True


def _interrupt(number: int, frame: FrameType | None) -> None:
    held = _running(Interrupts.held, frame)
    if held is None:
        raise KeyboardInterrupt
    held.f_locals["self"].wait()


def _is_free() -> bool:
    """Whether Ctrl-C is Python's own, or still that of a training which an exception ended before it gave it back."""
    if threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(signal.SIGINT)
    if handler is _interrupt:
        return _running(Interrupts.watch, sys._getframe(2)) is None
    return handler is signal.default_int_handler


def _running(function: Callable[..., Any], frame: FrameType | None) -> FrameType | None:
    """The innermost call of a function on the stack."""
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame
