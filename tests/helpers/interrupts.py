"""Exceptions at chosen lines of the package, as an interrupt may come at any."""

from __future__ import annotations

import sys


class Interrupt(BaseException):
    pass


def _traced(call, at_line) -> None:
    """Make a call; `at_line` is called at each line of the package that it runs in this thread."""

    def trace(frame, event, _):
        if event == "line":
            at_line()
        return trace if "pyinvnets" in frame.f_code.co_filename else None

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)


def lines(call) -> int:
    """How many lines of the package a call runs."""
    passed = []
    _traced(call, lambda: passed.append(None))
    return len(passed)


def interrupted(call, at: int) -> bool:
    """Make a call with an exception at its line number `at`; whether it came that far."""
    passed = []

    def at_line():
        passed.append(None)
        if len(passed) == at:
            raise Interrupt

    try:
        _traced(call, at_line)
    except Interrupt:
        return True
    return False
