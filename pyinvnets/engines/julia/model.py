"""A network of InvertibleNetworks.jl behind the protocol of `pyinvnets.engines`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .bridge import _view, description
from .device_array import DeviceArray
from .errors import JuliaError, translation

if TYPE_CHECKING:
    from .engine import JuliaEngine

_BY_SAMPLE_MODES = ("forward_by_sample", "forward_Y_by_sample")

_MOMENTS = {"adam": ("m", "v"), "momentum": ("velocity",)}
"""What each optimiser's rule keeps of every parameter."""


@contextlib.contextmanager
def _upstreams_limits() -> Iterator[None]:
    """Upstream has derivatives of some networks only, most of them in 32 bits only; what fails inside is said so."""
    try:
        yield
    except (ValueError, TypeError, JuliaError) as error:
        raise ValueError(
            f"InvertibleNetworks.jl 2.3.1 cannot differentiate this network along a direction ({error}); write "
            'engine="numpy"'
        ) from error


class JuliaSlot:
    """A parameter as the protocol shows it: Julia's shape, views of Julia's memory."""

    __slots__ = ("_index", "_owner", "shape")

    def __init__(self, owner: JuliaHandle, index: int, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._owner, self._index = owner, index

    @property
    def data(self) -> np.ndarray | DeviceArray | None:
        return self._owner.parameter("data", self._index)

    @data.setter
    def data(self, value: np.ndarray | None) -> None:
        self._owner.set_parameter("data", self._index, value)

    @property
    def grad(self) -> np.ndarray | DeviceArray | None:
        return self._owner.parameter("grad", self._index)

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        self._owner.set_parameter("grad", self._index, value)


class JuliaHandle:
    """One network or layer of InvertibleNetworks.jl."""

    def __init__(self, engine: JuliaEngine, handle: Any) -> None:
        self._engine, self._handle = engine, handle
        self.dtype = np.dtype(np.float32)
        self.on_gpu = False
        self.spatial: tuple[int, ...] | None = None
        self.parameters = []
        for i, line in enumerate(engine.bridge.describe(handle).splitlines(), 1):
            name, *shape = line.split(" ")
            self.parameters.append((name, JuliaSlot(self, i, tuple(map(int, shape)))))

    @property
    def julia(self) -> Any:
        """The network itself, for whatever is not proxied."""
        return self._handle.net

    def parameter(self, part: str, index: int) -> np.ndarray | DeviceArray | None:
        return self._view(getattr(self._engine.bridge, part)(self._handle, index))

    def set_parameter(self, part: str, index: int, value: np.ndarray | None) -> None:
        given = (
            DeviceArray.of(self._engine.bridge, value).julia
            if self.on_gpu and value is not None
            else self._engine.borrowed(value)
        )
        getattr(self._engine.bridge, f"set_{part}_b")(self._handle, index, given)

    def _view(self, value: Any) -> Any:
        if self.on_gpu and not (value is None or isinstance(value, float)):
            return DeviceArray(self._engine.bridge, value)
        return _view(value)

    def _here(self, array: np.ndarray | DeviceArray) -> np.ndarray | DeviceArray:
        """An array where the network is."""
        if self.on_gpu:
            return DeviceArray.of(self._engine.bridge, array)
        return array.numpy() if isinstance(array, DeviceArray) else array

    def move(self, to_gpu: bool) -> None:
        if to_gpu != self.on_gpu:
            bridge = self._engine.bridge
            (bridge.move_to_device_b if to_gpu else bridge.move_to_host_b)(self._handle)
            self.on_gpu = to_gpu

    def call(self, mode: str, arguments: tuple) -> tuple:
        if self.on_gpu:
            return self._call_on_gpu(mode, arguments)
        arrays = tuple(a for a in arguments if isinstance(a, np.ndarray))
        if mode == "jacobian":
            return self._jacobian(arrays, arguments[len(arguments) // 2])
        if mode == "adjointJacobian":
            return self._adjoint_jacobian(arrays)
        if mode in _BY_SAMPLE_MODES:
            return self._run(mode, arrays)
        others = (self._engine.operator(a) for a in arguments[len(arrays) :])
        return self._run("call", arrays, mode, *others)

    def _call_on_gpu(self, mode: str, arrays: tuple[DeviceArray, ...]) -> tuple:
        if mode in ("jacobian", "adjointJacobian"):
            raise ValueError("derivatives along a direction are computed on the CPU; write G.cpu()")
        function, more = (mode, ()) if mode in _BY_SAMPLE_MODES else ("call", (mode,))
        return self._crossed(function, arrays, (tuple(array.julia for array in arrays), *more))

    def _run(self, function: str, arrays: tuple[np.ndarray, ...], *more: Any) -> tuple:
        described = description(arrays)
        return self._crossed(function, arrays, (self.dtype.itemsize == 8, described.ctypes.data, len(arrays), *more))

    def _crossed(self, function: str, arrays: tuple, arguments: tuple) -> tuple:
        bridge = self._engine.bridge
        vector = arrays[0].ndim == 1
        if vector and self.spatial is not None:
            bridge.set_latent_sizes_b(self._handle, arrays[0].size, *self.spatial)
        with translation():
            results = getattr(bridge, function)(self._handle, *arguments)
        results = tuple(map(self._view, results))
        if not vector and getattr(results[0], "ndim", 0) == 1:
            self.spatial = arrays[0].shape[:-2]
        return results

    def _jacobian(self, arrays: tuple[np.ndarray, ...], directions: list[np.ndarray]) -> tuple:
        with _upstreams_limits():
            return self._run("jacobian", (*arrays, *directions), len(arrays) // 2)

    def _adjoint_jacobian(self, arrays: tuple[np.ndarray, ...]) -> tuple:
        with _upstreams_limits():
            results = self._run("adjoint_jacobian", arrays)
        half, inputs = len(arrays) // 2, len(results) - len(self.parameters)
        return (*results[:half], list(results[inputs:]), *results[half:inputs])

    def astype(self, dtype: np.dtype) -> None:
        self._engine.bridge.convert_all_b(self._handle, dtype.itemsize == 8)
        self.dtype = np.dtype(dtype)

    def clear_grad(self) -> None:
        self._engine.bridge.clear_grads_b(self._handle)

    def without_gradient(self, indices: list[int] | None) -> list[str]:
        return [str(name) for name in self._engine.bridge.without_gradient(self._handle, _from_one(indices))]

    def optimiser_state(self, rule: str) -> dict[str, np.ndarray]:
        size = sum(math.prod(slot.shape) for _, slot in self.parameters)
        moments = {name: np.zeros(size, self.dtype) for name in _MOMENTS[rule]}
        return moments | ({"powers": np.ones((len(self.parameters), 2))} if rule == "adam" else {})

    def update(self, rule: str, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None:
        for name in _MOMENTS[rule]:
            state[name] = self._here(state[name])  # The network may have been moved since.
        moments = tuple(state[name] for name in _MOMENTS[rule])
        if self.on_gpu:
            given = (tuple(moment.julia for moment in moments),)
        else:
            described = description(moments)
            given = (moments[0].dtype.itemsize == 8, described.ctypes.data)
        powers = (state["powers"].ctypes.data,) if rule == "adam" else ()
        getattr(self._engine.bridge, f"{rule}_b")(self._handle, *given, *powers, _from_one(indices), *numbers)


def _from_one(indices: list[int] | None) -> tuple[int, ...] | None:
    return None if indices is None else tuple(i + 1 for i in indices)
