"""A network of InvertibleNetworks.jl behind the protocol of `pyinvnets.engines`."""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays.checks import check_kind, checked
from ...arrays.cuda_interface import is_on_gpu
from ...arrays.latents import Array
from ...arrays.spec import ArraySpec
from ..anchors import Anchors
from .bridge import description
from .device_array import DeviceArray
from .errors import JuliaError

if TYPE_CHECKING:
    from .engine import JuliaEngine


_MOMENTS = {"adam": ("m", "v"), "momentum": ("velocity",)}
"""What each optimiser's rule keeps of every parameter."""

_DTYPES = np.dtype(np.float32), np.dtype(np.float64)


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


class JuliaParameter:
    """A parameter as the protocol shows it: Julia's shape, views of Julia's memory."""

    __slots__ = ("_index", "_owner", "shape")

    def __init__(self, owner: JuliaModel, index: int, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._owner, self._index = owner, index

    @property
    def data(self) -> Array | None:
        return self._owner.parameter("data", self._index)

    @data.setter
    def data(self, value: np.ndarray | None) -> None:
        self._owner.set_parameter("data", self._index, value)

    @property
    def grad(self) -> Array | None:
        return self._owner.parameter("grad", self._index)

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        self._owner.set_parameter("grad", self._index, value)


@dataclass
class State:
    """Of a network, and of the same one run the other way.

    Attributes:
        double: whether its numbers are doubles, in memory that Julia writes into.
        spatial: the image size of the last `forward`.
    """

    double: np.ndarray = field(default_factory=lambda: np.zeros(1, np.uint8))
    on_gpu: bool = False
    spatial: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Kept:
    """What a `forward` kept, in Julia's memory."""

    julia: Any


class JuliaModel:
    """One network or layer of InvertibleNetworks.jl."""

    def __init__(self, engine: JuliaEngine, handle: Any, state: State | None = None) -> None:
        self._engine, self.handle = engine, handle
        self.state = state or State()
        self.anchors = Anchors()
        self.kept: Kept | None = None
        self._all_kept: weakref.WeakSet[Kept] = weakref.WeakSet()
        self._has_steps = bool(engine.bridge.has_steps(handle))
        self.parameters = []
        for i, line in enumerate(engine.bridge.describe(handle).splitlines(), 1):
            name, *shape = line.split(" ")
            self.parameters.append((name, JuliaParameter(self, i, tuple(map(int, shape)))))

    @property
    def dtype(self) -> np.dtype:
        return _DTYPES[self.state.double[0]]

    @property
    def on_gpu(self) -> bool:
        return self.state.on_gpu

    @property
    def spatial(self) -> tuple[int, ...] | None:
        return self.state.spatial

    @spatial.setter
    def spatial(self, value: tuple[int, ...] | None) -> None:
        self.state.spatial = value

    @property
    def julia(self) -> Any:
        """The network itself, for whatever is not proxied."""
        return self._engine.bridge.net_of(self.handle)

    def parameter(self, part: str, index: int) -> Array | None:
        return self._view(getattr(self._engine.bridge, part)(self.handle, index))

    def set_parameter(self, part: str, index: int, value: np.ndarray | None) -> None:
        given = (
            DeviceArray.of(self._engine.bridge, value).julia
            if self.on_gpu and value is not None
            else self._engine.borrowed(value)
        )
        getattr(self._engine.bridge, f"set_{part}_b")(self.handle, index, given)

    def _view(self, value: Any) -> Any:
        if self.on_gpu and self._engine.bridge.is_array(value):
            return DeviceArray(self._engine.bridge, value)
        return self._engine.bridge.view(value)

    def place(self, array: Array) -> Array:
        if self.on_gpu:
            return DeviceArray.of(self._engine.bridge, array)
        return array.numpy() if isinstance(array, DeviceArray) else array

    def move(self, to_gpu: bool, title: str) -> None:
        if to_gpu and not self._engine.bridge.cuda_usable():
            raise RuntimeError(f"{title}: CUDA.jl finds no GPU that it can use here; see pyinvnets.gpu_available()")
        if to_gpu != self.on_gpu:
            bridge = self._engine.bridge
            (bridge.move_to_device_b if to_gpu else bridge.move_to_host_b)(self.handle)
            self.state.on_gpu = to_gpu

    def accept(self, name: str, array: Any, spec: ArraySpec, title: str) -> Array:
        if not self.on_gpu:
            return checked(name, array, spec, self.dtype, title)
        if not is_on_gpu(array):
            raise TypeError(
                f"{title}: the network is on the GPU, and {name}, a {type(array).__name__}, is not; write "
                f"inv.gpu({name}), or G.cpu() first"
            )
        array = self.place(array)
        check_kind(name, array, spec, self.dtype, title)
        return array

    def forward(self, *arguments: Any) -> tuple[Any, ...]:
        if not self._has_steps:
            return self._call("forward", arguments)
        return self._keeping(arguments, by_sample=False)

    def _keeping(self, arrays: tuple[Array, ...], by_sample: bool) -> tuple[Any, ...]:
        """What `forward` gives, which keeps states for the `backward` that follows: it recognises what is given."""
        self.kept = None
        automatic = self.anchors.automatic
        *results, kept, size = self._run("forward_keeping", arrays, self._states_apart, automatic, by_sample)
        self.kept = Kept(kept)
        self._all_kept.add(self.kept)
        self.anchors.size = int(size)
        return tuple(results)

    @property
    def _states_apart(self) -> int:
        """By so many steps; zero where none is kept."""
        return 0 if self.anchors.value is None else self.anchors.spacing

    def fingerprint(self, *arrays: Array) -> int:
        if self.on_gpu:
            return int(self._engine.bridge.fingerprint(self.handle, tuple(array.julia for array in arrays)))
        described = description(arrays)
        double = self.dtype.itemsize == 8
        return int(self._engine.bridge.fingerprint(self.handle, double, described.ctypes.data, len(arrays)))

    def inverse(self, *arguments: Any) -> tuple[Any, ...]:
        return self._call("inverse", arguments)

    def backward(self, *arguments: Any) -> tuple[Any, ...]:
        self.anchors.drift = None
        all_kept = [*self._all_kept]
        if not all_kept:
            return self._call("backward", arguments)
        try:
            return self._from_anchors(arguments, all_kept)
        finally:
            self.kept = None

    def _from_anchors(self, arrays: tuple[Array, ...], all_kept: list[Kept]) -> tuple[Any, ...]:
        bridge = self._engine.bridge
        with bridge.lock:
            added = bridge.added(self.handle) if self.anchors.automatic else None
            while True:
                states = [kept.julia for kept in all_kept]
                *results, found, steps, drift = self._run("backward_from", arrays, *states)
                if not found or not self.anchors.saw(drift, np.finfo(self.dtype).eps, steps):
                    return tuple(results)
                bridge.take_back_b(self.handle, added)
                if self.spatial is not None:
                    bridge.set_latent_sizes_b(self.handle, arrays[0].size, *self.spatial)
                bridge.keep_again_b(self.handle, states[found - 1], self.anchors.spacing)

    def forward_Y(self, Y: Array) -> tuple[Any, ...]:
        return self._call("forward_Y", (Y,))

    def inverse_Y(self, Zy: Array) -> tuple[Any, ...]:
        return self._call("inverse_Y", (Zy,))

    def forward_by_sample(self, *arrays: Array, keeps: bool = False) -> tuple[Any, ...]:
        if keeps and self._has_steps:
            return self._keeping(arrays, by_sample=True)
        return self._run("forward_by_sample", arrays)

    def forward_Y_by_sample(self, Y: Array) -> tuple[Any, ...]:
        return self._run("forward_Y_by_sample", (Y,))

    def _call(self, method: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """A method of upstream's; what is no array is a linear operator."""
        arrays = tuple(a for a in arguments if isinstance(a, (np.ndarray, DeviceArray)))
        others = (self._engine.operator(a) for a in arguments[len(arrays) :])
        return self._run("call", arrays, method, *others)

    def _run(self, function: str, arrays: tuple[Array, ...], *more: Any) -> tuple[Any, ...]:
        if self.on_gpu:
            return self._crossed(function, arrays, (tuple(array.julia for array in arrays), *more))
        described = description(arrays)
        return self._crossed(function, arrays, (self.dtype.itemsize == 8, described.ctypes.data, len(arrays), *more))

    def _crossed(self, function: str, arrays: tuple, arguments: tuple) -> tuple:
        bridge = self._engine.bridge
        vector = arrays[0].ndim == 1
        with bridge.lock:
            if vector and self.spatial is not None:
                bridge.set_latent_sizes_b(self.handle, arrays[0].size, *self.spatial)
            results = tuple(map(self._view, getattr(bridge, function)(self.handle, *arguments)))
        if not vector and getattr(results[0], "ndim", 0) == 1:
            self.spatial = arrays[0].shape[:-2]
        return results

    def jacobian(
        self, tangents: tuple[np.ndarray, ...], directions: list[np.ndarray], arrays: tuple[np.ndarray, ...]
    ) -> tuple[Any, ...]:
        self._check_on_the_cpu()
        with _upstreams_limits():
            return self._run("jacobian", (*tangents, *arrays, *directions), len(arrays))

    def adjoint_jacobian(self, *arrays: np.ndarray) -> tuple[tuple[Any, ...], list[np.ndarray]]:
        self._check_on_the_cpu()
        with _upstreams_limits():
            results = self._run("adjoint_jacobian", arrays)
        inputs = len(results) - len(self.parameters)
        return results[:inputs], list(results[inputs:])

    def _check_on_the_cpu(self) -> None:
        if self.on_gpu:
            raise ValueError("derivatives along a direction are computed on the CPU; write G.cpu()")

    def astype(self, dtype: np.dtype) -> None:
        """The flag is Julia's to set, in the same call: an interrupt between the two would leave them apart."""
        if dtype != self.dtype:
            self._engine.bridge.convert_all_b(self.handle, dtype.itemsize == 8, self.state.double.ctypes.data)

    def clear_grad(self) -> None:
        self._engine.bridge.clear_grads_b(self.handle)

    def without_gradient(self, indices: list[int] | None) -> list[str]:
        return [str(name) for name in self._engine.bridge.without_gradient(self.handle, _from_one(indices))]

    def gradient_vector(self) -> None:
        """Upstream holds each gradient in an array of its own."""
        return None

    def optimiser_state(self, rule: str) -> dict[str, np.ndarray]:
        size = sum(math.prod(slot.shape) for _, slot in self.parameters)
        moments = {name: np.zeros(size, self.dtype) for name in _MOMENTS[rule]}
        return moments | ({"powers": np.ones((len(self.parameters), 2))} if rule == "adam" else {})

    def update(self, rule: str, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None:
        for name in _MOMENTS[rule]:
            state[name] = self.place(state[name])  # The network may have been moved since.
        moments = tuple(state[name] for name in _MOMENTS[rule])
        if self.on_gpu:
            given = (tuple(moment.julia for moment in moments),)
        else:
            described = description(moments)
            given = (moments[0].dtype.itemsize == 8, described.ctypes.data)
        powers = (state["powers"].ctypes.data,) if rule == "adam" else ()
        getattr(self._engine.bridge, f"{rule}_b")(self.handle, *given, *powers, _from_one(indices), *numbers)


def _from_one(indices: list[int] | None) -> tuple[int, ...] | None:
    return None if indices is None else tuple(i + 1 for i in indices)
