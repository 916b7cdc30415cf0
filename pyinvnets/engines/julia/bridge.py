"""The door to Julia, and NumPy memory as Julia sees it, and Julia's as NumPy does."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from .errors import FORKED, JuliaError, translated


def description(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """For each array its address, its number of axes, its shape: what Julia wraps its memory by."""
    return np.array([n for a in arrays for n in (a.ctypes.data, a.ndim, *a.shape)], np.int64)


_UNSAFE = 0
"""The state of a thread that runs Julia's code; see `jl_gc_safe_leave` in Julia's source."""


class Bridge:
    """The Julia module PyInvNets; each function is looked up once.

    One Python thread at a time is in Julia. Julia's collector waits until every thread that is inside Julia has
    reached a safe point, which a thread that waits for Python's own lock never does: Python code that runs inside a
    call into Julia (a destructor, a link function) may hand that lock to another thread, and if this one entered Julia
    and came to collect, both would wait for ever.

    Attributes:
        lock: held in each call; to be held over several that belong together.
    """

    def __init__(self, module: Any) -> None:
        import juliacall  # starts Julia where it does not run, so not at the top

        self._module, self._juliacall = module, juliacall
        self.lock: Any = threading.RLock()
        self._enter_safe = _function(module.safe_enter_address(), ctypes.c_int8)
        self._leave_safe = _function(module.safe_leave_address(), None, ctypes.c_int8)
        module.end_an_array()
        os.register_at_fork(after_in_child=self._close)

    def rest(self) -> None:
        """Leave this thread at a safe point while it is in Python, as every thread but the one that started Julia is
        by itself: it is left where a call into Julia finds it."""
        self._enter_safe()

    def _close(self) -> None:
        """In a forked child Julia's other threads do not exist; what waits for them, its end too, would hang."""
        self.lock = _Closed()
        library = self._juliacall.CONFIG.get("lib")
        if library is not None:
            library.jl_atexit_hook = _do_nothing  # juliacall looks it up there when Python ends

    def __getattr__(self, name: str) -> Any:
        with self.lock:
            value = self._guarded(getattr(self._module, name))
        setattr(self, name, value)
        return value

    def _guarded(self, function: Any) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            with self.lock:
                try:
                    return function(*arguments)
                except self._juliacall.JuliaError as error:
                    raise translated(error) from None

        return called

    def view(self, value: Any) -> Any:
        """A Julia array as a NumPy view of it; anything else as it is."""
        if not self.is_array(value):
            return value
        with self.lock:
            return np.asarray(value)

    def is_array(self, value: Any) -> bool:
        """Whether it is a Julia array."""
        return isinstance(value, self._juliacall.ArrayValue)

    def callback(self, function: Callable[[np.ndarray], Any]) -> Callable[[Any], Any]:
        """A function of the user's for Julia to call with an array, of which he gets a copy to keep.

        Meanwhile this thread is at a safe point: other threads of Julia's may collect while it waits in Python.
        """

        def called(array: Any) -> Any:
            own = np.array(array, order="F")
            try:
                self._enter_safe()
                return function(own)
            finally:
                self._leave_safe(_UNSAFE)

        return called


def _do_nothing(code: int) -> None:
    pass


class _Closed:
    """In place of the lock."""

    def __enter__(self) -> NoReturn:
        raise JuliaError(FORKED)

    def __exit__(self, *exception: object) -> None:
        pass


def _function(address: int, *types: Any) -> Callable[..., Any]:
    return ctypes.PYFUNCTYPE(*types)(address)
