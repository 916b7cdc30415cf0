"""The Julia engine behind the protocol of `pyinvnets.engines`.

NumPy memory goes to Julia as an address and a shape, borrowed for the one call; what comes back is a NumPy view of
Julia's memory, which it keeps alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .bridge import Bridge, description
from .limits import limit
from .model import JuliaModel
from .operators import is_julias

_KEYWORDS = {"alpha": "α"}
"""Upstream's keywords that Python spells out."""


class JuliaEngine:
    """The one engine of this process."""

    name = "julia"

    def __init__(self, module: Any) -> None:
        self.bridge = Bridge(module)

    def set_fast(self, fast: bool) -> None:
        self.bridge.set_fast_b(fast)

    def borrowed(self, array: np.ndarray | None) -> Any:
        """A Julia `Array` on the NumPy memory, for use while `array` lives."""
        if array is None:
            return None
        described = description((array,))  # Its memory is read in the call.
        return self.bridge.borrow_one(array.dtype.itemsize == 8, described.ctypes.data)

    def operator(self, A: Any) -> Any:
        """A linear operator with `matvec` and `rmatvec` as Julia multiplies by it: a column for each sample."""

        def times(multiply: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], np.ndarray]:
            return self.bridge.callback(lambda X: _columns(multiply, X))

        return self.bridge.Operator(times(A.matvec), times(A.rmatvec))

    def _argument(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self.borrowed(value)
        if isinstance(getattr(value, "model", None), JuliaModel):
            return value.model.handle
        if hasattr(value, "arguments"):
            return self.bridge.value(type(value).__name__, *value.arguments.values())
        if callable(value) and not is_julias(value):
            return self.bridge.callback(lambda array: np.asarray(value(array), dtype=array.dtype))
        return value

    def supports(self, kind: str, arguments: dict[str, Any]) -> str | None:
        return limit(kind, arguments)

    def create(self, kind: str, positional: tuple, keywords: dict, seed: int | None) -> JuliaModel:
        names = " ".join(_KEYWORDS.get(name, name) for name in keywords)
        values = map(self._argument, (*positional, *keywords.values()))
        return JuliaModel(self, self.bridge.create(kind, seed, names, *values))

    def reversed(self, model: JuliaModel) -> JuliaModel:
        return JuliaModel(self, self.bridge.reversed(model.handle), model.state)

    def call(self, function: str, *args: Any) -> Any:
        results = tuple(map(self.bridge.view, self.bridge.apply(function, *map(self._argument, args))))
        return results[0] if len(results) == 1 else results


def _columns(multiply: Callable[[np.ndarray], np.ndarray], X: np.ndarray) -> np.ndarray:
    return np.stack([np.ravel(multiply(column)) for column in X.T], axis=1).astype(X.dtype, copy=False)
