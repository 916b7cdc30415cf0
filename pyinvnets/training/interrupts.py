"""Ctrl-C between two steps of a long computation, never in one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """While this context lasts, Ctrl-C raises `KeyboardInterrupt` at once, or at the end of a step that is `held`.

    Only where Ctrl-C does what Python gives it by default: a program's own handler stays.
    """

    def __init__(self) -> None:
        self._held = self._pending = self._installed = False

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(self, *exception: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pending = True
        if not self._held:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A step that Ctrl-C does not cut in two."""
        self._held, self._pending = True, False
        try:
            yield
        finally:
            self._held = False
        if self._pending:
            raise KeyboardInterrupt
