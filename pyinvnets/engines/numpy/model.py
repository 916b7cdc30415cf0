"""A network of the NumPy engine behind the protocol of `pyinvnets.engines`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...arrays.checks import checked
from ...arrays.spec import ArraySpec
from .kernels.layout import inward, outward
from .kernels.params import Param, Store
from .networks.glow import BY_SAMPLE
from .networks.residual import ResidualBlock
from .optimisers import _adam, _momentum


def walk(layer, prefix: str = "") -> Iterator[tuple[str, Param]]:
    """Every parameter with its field path, in the order of upstream's `get_params`."""
    for field in layer.fields:
        value = getattr(layer, field)
        if isinstance(value, dict):
            items = [(f"{field}[{','.join(map(str, index))}]", item) for index, item in value.items()]
        elif isinstance(value, list):
            items = [(f"{field}[{i}]", item) for i, item in enumerate(value, 1)]
        else:
            items = [(field, value)]
        for name, item in items:
            if isinstance(item, Param):
                yield prefix + name, item
            else:
                yield from walk(item, f"{prefix}{name}.")


def layers(layer) -> Iterator:
    """`layer` and all layers in it."""
    yield layer
    for field in layer.fields:
        value = getattr(layer, field)
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for item in items:
            if not isinstance(item, Param):
                yield from layers(item)


@contextlib.contextmanager
def adjoint_mode(layer) -> Iterator[None]:
    """Let `backward` give the adjoint of the Jacobian: without log-determinants, with all uses of a shared block."""
    switched = [
        (part, switch, getattr(part, switch))
        for part in layers(layer)
        for switch in ("logdet", "sums_shared")
        if hasattr(part, switch)
    ]
    for part, switch, _ in switched:
        setattr(part, switch, switch == "sums_shared")
    try:
        yield
    finally:
        for part, switch, value in switched:
            setattr(part, switch, value)


class NumpyParameter:
    """A parameter as the protocol shows it: Julia's axes, views of the engine's memory."""

    __slots__ = ("_param",)

    def __init__(self, param: Param) -> None:
        self._param = param

    @property
    def shape(self) -> tuple[int, ...]:
        return self._param.shape[::-1]

    @property
    def data(self) -> np.ndarray | None:
        data = self._param.data
        return None if data is None else data.T

    @data.setter
    def data(self, value: np.ndarray | None) -> None:
        self._param.set_data(None if value is None else value.T)

    @property
    def grad(self) -> np.ndarray | None:
        grad = self._param.grad
        return None if grad is None else grad.T

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        self._param.set_grad(None if value is None else value.T)


class NumpyModel:
    """One network or layer on the NumPy engine."""

    on_gpu = False

    def __init__(self, layer) -> None:
        self.layer = layer
        names, params = zip(*walk(self.layer), strict=True)
        # New parameters are drawn in 32 bits; those of a reversed network keep the type that they have.
        dtypes = [p.dtype for p in params if p.dtype is not None]
        self._store = Store(list(params), dtypes[0] if dtypes else np.dtype(np.float32))
        self.parameters = [(name, NumpyParameter(p)) for name, p in zip(names, params, strict=True)]

    @property
    def dtype(self) -> np.dtype:
        return self._store.data.dtype

    def astype(self, dtype: np.dtype) -> None:
        if dtype != self.dtype:
            self._store = Store(self._store.params, np.dtype(dtype))

    @property
    def spatial(self) -> tuple[int, ...] | None:
        spatial = self.layer.spatial
        return None if spatial is None else spatial[::-1]

    @spatial.setter
    def spatial(self, value: tuple[int, ...] | None) -> None:
        self.layer.spatial = None if value is None else tuple(value)[::-1]

    def accept(self, name: str, array: Any, spec: ArraySpec, title: str) -> np.ndarray:
        return checked(name, array, spec, self.dtype, title)

    def place(self, array: np.ndarray) -> np.ndarray:
        return array

    def move(self, to_gpu: bool, title: str) -> None:
        raise ValueError(
            f'{title}: only networks of the Julia engine run on a GPU; make it with engine="julia" and write '
            "G.load_state_dict(this.state_dict())"
        )

    def forward(self, *arrays: Any) -> tuple[Any, ...]:
        return self._run(self.layer.forward, arrays)

    def inverse(self, *arrays: Any) -> tuple[Any, ...]:
        return self._run(self.layer.inverse, arrays)

    def backward(self, *arrays: Any) -> tuple[Any, ...]:
        if isinstance(self.layer, ResidualBlock):
            return self._run(lambda delta, x: self.layer.backward(delta, self.layer.forward_save(x)[1]), arrays)
        return self._run(self.layer.backward, arrays)

    def forward_Y(self, Y: np.ndarray) -> tuple[Any, ...]:
        return self._run(self.layer.forward_Y, (Y,))

    def inverse_Y(self, Zy: np.ndarray) -> tuple[Any, ...]:
        return self._run(self.layer.inverse_Y, (Zy,))

    def forward_by_sample(self, *arrays: np.ndarray) -> tuple[Any, ...]:
        return self._by_sample(self.layer.forward, arrays)

    def forward_Y_by_sample(self, Y: np.ndarray) -> tuple[Any, ...]:
        return self._by_sample(self.layer.forward_Y_term, (Y,))

    def _run(self, function: Callable[..., Any], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arguments and results that are no arrays (an operator, a log-determinant) pass as they are."""
        with np.errstate(all="ignore"):
            results = function(*(inward(a) if isinstance(a, np.ndarray) else a for a in arrays))
            if not isinstance(results, tuple):
                results = (results,)
            return tuple(outward(r) if isinstance(r, np.ndarray) else r for r in results)

    def _by_sample(self, function: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
        """With a log-determinant for each sample: layers whose terms are the same for all give one."""
        token = BY_SAMPLE.set(True)
        try:
            *results, terms = self._run(function, arrays)
        finally:
            BY_SAMPLE.reset(token)
        return *results, np.full(arrays[0].shape[-1], terms, np.float64)

    def jacobian(
        self, tangents: tuple[np.ndarray, ...], directions: list[np.ndarray], arrays: tuple[np.ndarray, ...]
    ) -> tuple[Any, ...]:
        for param, tangent in zip(self._store.params, directions, strict=True):
            param.tangent = tangent.T
        try:
            return self._run(self.layer.jacobian, (*tangents, *arrays))
        finally:
            for param in self._store.params:
                param.tangent = None

    def adjoint_jacobian(self, *arrays: np.ndarray) -> tuple[tuple[Any, ...], list[np.ndarray]]:
        """`backward` without log-determinants, whose gradients leave the network's own as they were."""
        stored = [parameter for _, parameter in self.parameters]
        before = [None if p.grad is None else p.grad.copy() for p in stored]
        self.clear_grad()
        try:
            with adjoint_mode(self.layer):
                results = self.backward(*arrays)
            gradients = [p.grad.copy(order="F") for p in stored]
        finally:
            for p, grad in zip(stored, before, strict=True):
                p.grad = grad
        return results, gradients

    def clear_grad(self) -> None:
        for p in self._store.params:
            p.grad = None

    def without_gradient(self, indices: list[int] | None) -> list[str]:
        chosen = range(len(self.parameters)) if indices is None else indices
        return [self.parameters[i][0] for i in chosen if self._store.params[i].grad is None]

    def optimiser_state(self, rule: str) -> dict[str, np.ndarray]:
        names = {"adam": ("m", "v"), "momentum": ("velocity",)}[rule]
        moments = {name: np.zeros(self._store.data.size, self.dtype) for name in names}
        return moments | ({"steps": np.zeros(len(self.parameters), np.int64)} if rule == "adam" else {})

    def update(self, rule: str, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None:
        """One update by one of Flux's rules of the parameters at `indices`, of all where it is `None`."""
        with np.errstate(all="ignore"):
            if rule == "adam":
                self._adam(state, indices, *numbers)
            else:
                for part in [slice(None)] if indices is None else [self._store.slices[i] for i in indices]:
                    _momentum(self._store.data[part], self._store.grad[part], state["velocity"][part], *numbers)

    def _adam(self, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None:
        store, steps = self._store, state["steps"]
        if indices is None and steps.min() == steps.max():
            steps += 1
            _adam(store.data, store.grad, state["m"], state["v"], int(steps[0]), *numbers)
            return
        for i in range(len(steps)) if indices is None else indices:
            steps[i] += 1
            part = store.slices[i]
            moments = state["m"][part], state["v"][part]
            _adam(store.data[part], store.grad[part], *moments, int(steps[i]), *numbers)
