"""The Julia engine behind the protocol of `pyinvnets.engines`.

NumPy memory goes to Julia as an address and a shape, borrowed for the one call; what comes back is a NumPy view of
Julia's memory, which it keeps alive.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import translation

_KEYWORDS = {"alpha": "α"}
"""Upstream's keywords that Python spells out."""


def _view(value: Any) -> Any:
    """A Julia array as a NumPy view of it; a number, or `None`, as it is."""
    return value if value is None or isinstance(value, float) else np.asarray(value)


def description(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """For each array its address, its number of axes, its shape: what Julia wraps its memory by."""
    return np.array([n for a in arrays for n in (a.ctypes.data, a.ndim, *a.shape)], np.int64)


class JuliaSlot:
    """A parameter as the protocol shows it: Julia's shape, views of Julia's memory."""

    __slots__ = ("_engine", "_handle", "_index", "shape")

    def __init__(self, engine: JuliaEngine, handle: Any, index: int, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._engine, self._handle, self._index = engine, handle, index

    @property
    def data(self) -> np.ndarray | None:
        return _view(self._engine.bridge.data(self._handle, self._index))

    @data.setter
    def data(self, value: np.ndarray | None) -> None:
        self._engine.bridge.set_data_b(self._handle, self._index, self._engine.borrowed(value))

    @property
    def grad(self) -> np.ndarray | None:
        return _view(self._engine.bridge.grad(self._handle, self._index))

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        self._engine.bridge.set_grad_b(self._handle, self._index, self._engine.borrowed(value))


class JuliaHandle:
    """One network or layer of InvertibleNetworks.jl."""

    def __init__(self, engine: JuliaEngine, handle: Any) -> None:
        self._engine, self._handle = engine, handle
        self.dtype = np.dtype(np.float32)
        self.spatial: tuple[int, ...] | None = None
        self.parameters = []
        for i, line in enumerate(engine.bridge.describe(handle).splitlines(), 1):
            name, *shape = line.split(" ")
            self.parameters.append((name, JuliaSlot(engine, handle, i, tuple(map(int, shape)))))

    @property
    def julia(self) -> Any:
        """The network itself, for whatever is not proxied."""
        return self._handle.net

    def call(self, mode: str, arrays: tuple[np.ndarray, ...]) -> tuple:
        bridge = self._engine.bridge
        if mode != "forward" and self.spatial is not None and arrays[0].ndim == 1:
            bridge.set_latent_sizes_b(self._handle, arrays[0].size, *self.spatial)
        described = description(arrays)
        with translation():
            results = bridge.call(self._handle, mode, self.dtype.itemsize == 8, described.ctypes.data, len(arrays))
        results = tuple(map(_view, results))
        if mode == "forward" and results[0].ndim == 1:
            self.spatial = arrays[0].shape[:-2]
        return results

    def astype(self, dtype: np.dtype) -> None:
        self._engine.bridge.convert_all_b(self._handle, dtype.itemsize == 8)
        self.dtype = np.dtype(dtype)

    def clear_grad(self) -> None:
        self._engine.bridge.clear_grads_b(self._handle)

    def without_gradient(self, indices: list[int] | None) -> list[str]:
        return [str(name) for name in self._engine.bridge.without_gradient(self._handle, _from_one(indices))]

    def optimiser_state(self) -> dict:
        return {"moments": self._engine.bridge.moments(self._handle)}

    def adam(
        self, state: dict, indices: list[int] | None, eta: float, beta: tuple[float, float], epsilon: float
    ) -> None:
        self._engine.bridge.adam_b(self._handle, state["moments"], _from_one(indices), eta, *beta, epsilon)


def _from_one(indices: list[int] | None) -> tuple[int, ...] | None:
    return None if indices is None else tuple(i + 1 for i in indices)


class Bridge:
    """The Julia module PyInvNets; each function is looked up once."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        setattr(self, name, value)
        return value


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
        return self.bridge.borrow_one(array.dtype.itemsize == 8, description((array,)).ctypes.data)

    def _argument(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self.borrowed(value)
        if hasattr(value, "arguments"):
            return self.bridge.value(type(value).__name__, *value.arguments.values())
        return value

    def create(self, kind: str, positional: tuple, keywords: dict, seed: int | None) -> JuliaHandle:
        names = " ".join(_KEYWORDS.get(name, name) for name in keywords)
        values = map(self._argument, (*positional, *keywords.values()))
        with translation():
            return JuliaHandle(self, self.bridge.create(kind, seed, names, *values))

    def call(self, function: str, *args: Any) -> Any:
        with translation():
            results = self.bridge.apply(function, *map(self._argument, args))
        results = tuple(map(_view, results))
        return results[0] if len(results) == 1 else results
