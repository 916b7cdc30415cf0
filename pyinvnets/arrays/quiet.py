"""Arithmetic without NumPy's warnings."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

import numpy as np

R = TypeVar("R")


def quietly(function: Callable[..., R], *arguments: Any, **keywords: Any) -> R:
    """Call a function while NumPy is silent about overflow, division by zero and numbers that are none.

    In a context of its own: an exception that comes at a bad moment, such as Ctrl-C, cannot leave NumPy silent.
    """
    return copy_context().run(_ignoring, function, *arguments, **keywords)


def _ignoring(function: Callable[..., R], *arguments: Any, **keywords: Any) -> R:
    with np.errstate(all="ignore"):
        return function(*arguments, **keywords)
