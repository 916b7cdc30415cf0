"""A network of the NumPy engine behind the protocol of `pyinvnets.engines`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ...arrays.checks import checked
from ...arrays.latents import difference
from ...arrays.quiet import quietly
from ...arrays.spec import ArraySpec
from ..anchors import Anchors
from ..threads import BlasThreads, blas_threads, in_turns_or_threads, num_threads
from .batches import Cutting, shares
from .kernels.anchors import NO_STATES, NoStates, States, checksum, probe
from .kernels.layout import inward, outward
from .kernels.params import Gradients, Param, Store
from .kernels.passes import Pass
from .kernels.reversible import Reversed
from .optimisers import _adam, _momentum

T = TypeVar("T")

LARGE = 2**32
"""More than so many elements times parameters are worth several threads."""


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


def with_blas_threads(n: int, function: Callable[[], T]) -> T:
    """What `function` gives while NumPy's library of matrix products has `n` threads."""
    limit = BlasThreads()
    try:
        try:
            limit.begin(n)
            return function()
        finally:
            limit.end()
    except BaseException:
        limit.end()  # An interrupt may have come in the middle of the first.
        raise


class NumpyParameter:
    """A parameter as the protocol shows it: Julia's axes, views of the engine's memory."""

    __slots__ = ("_model", "_param")

    def __init__(self, model: NumpyModel, param: Param) -> None:
        self._model, self._param = model, param

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
        grad = self._model.gradients.get(self._param)
        return None if grad is None else grad.T

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        if value is None:
            self._model.gradients.drop(self._param)
        else:
            self._model.gradients.set(self._param, value.T)


NOTHING: dict[str, Any] = {}


def _run(function: Callable[..., Any], arrays: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, ...]:
    """Arguments and results that are no arrays (an operator, a log-determinant) pass as they are."""
    results = quietly(function, *(inward(a) if isinstance(a, np.ndarray) else a for a in arrays), **given)
    if not isinstance(results, tuple):
        results = (results,)
    return tuple(outward(r) if isinstance(r, np.ndarray) else r for r in results)


@dataclass
class Memory:
    """Where the parameters are, for both directions of a network."""

    store: Store


@dataclass(frozen=True)
class Kept:
    """What a `forward` kept: the states of each part of the batch, some of its input, and where states may have to be
    kept closer together, all of its inputs."""

    states: list[States | NoStates]
    parts: list[slice]
    probe: np.ndarray
    inputs: tuple[np.ndarray, ...]

    @property
    def size(self) -> int:
        return sum(array.nbytes for array in self.inputs) + sum(own.size for own in self.states)


class NumpyModel:
    """One network or layer on the NumPy engine."""

    on_gpu = False

    def __init__(self, layer, memory: Memory | None = None) -> None:
        self.layer = layer
        self._has_steps = getattr(layer, "has_steps", False)
        self.anchors = Anchors()
        self.kept: Kept | None = None
        self._all_kept: weakref.WeakValueDictionary[int, Kept] = weakref.WeakValueDictionary()
        names, params = zip(*walk(self.layer), strict=True)
        self._memory = memory or Memory(Store(list(params), np.dtype(np.float32)))
        self.parameters = [(name, NumpyParameter(self, p)) for name, p in zip(names, params, strict=True)]

    def reversed(self) -> NumpyModel:
        """The same network, run the other way."""
        layer = self.layer.layer if isinstance(self.layer, Reversed) else Reversed(self.layer)
        return NumpyModel(layer, self._memory)

    @property
    def _store(self) -> Store:
        return self._memory.store

    @property
    def gradients(self) -> Gradients:
        return self._store.gradients

    @property
    def dtype(self) -> np.dtype:
        return self._store.data.dtype

    def astype(self, dtype: np.dtype) -> None:
        if dtype == self.dtype:
            return
        store = self._store
        try:
            self._memory.store = store.astype(np.dtype(dtype))
        except BaseException:
            self._memory.store = store
            store.take_back()
            raise

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
        results = self._forward(arrays)
        if not self._tracks(results):
            return results
        *others, logdets = results
        return *others, float(np.mean(logdets))

    def _forward(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Keep states for the `backward` that follows: it recognises what is returned here."""
        self.kept = None
        if not self._has_steps:
            return self._call("forward", arrays)
        inputs = tuple(array.copy(order="K") for array in arrays) if self.anchors.automatic else ()
        results, states, parts = self._anchored(arrays)
        self.kept = kept = Kept(states, parts, probe(arrays[0]), inputs)
        self._all_kept[self.fingerprint(*results[: self.layer.lanes])] = kept
        self.anchors.size = kept.size
        return results

    def _anchored(self, arrays: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[Any], list[slice]]:
        """What `forward` gives, and the states of each part of the batch."""
        parts = self._parts(arrays)
        if self.anchors.value is None:
            return self._call("forward", arrays), [NO_STATES] * len(parts), parts
        states = [States(self.anchors.spacing) for _ in parts]
        return self._in_parts("forward", arrays, parts, [{"states": own} for own in states]), states, parts

    def inverse(self, *arrays: Any) -> tuple[Any, ...]:
        return self._call("inverse", arrays)

    def backward(self, *arrays: Any) -> tuple[Any, ...]:
        try:
            return self._backward(arrays, Pass(self.gradients, self._samples(arrays[0])))
        finally:
            self.kept = None

    def forward_Y(self, Y: np.ndarray) -> tuple[Any, ...]:
        return self._call("forward_Y", (Y,))

    def inverse_Y(self, Zy: np.ndarray) -> tuple[Any, ...]:
        return self._call("inverse_Y", (Zy,))

    def forward_by_sample(self, *arrays: np.ndarray, keeps: bool = False) -> tuple[Any, ...]:
        results = self._forward(arrays) if keeps else self._call("forward", arrays)
        return self._by_sample(results if self._tracks(results) else (*results, 0.0), arrays[0])

    def forward_Y_by_sample(self, Y: np.ndarray) -> tuple[Any, ...]:
        return self._by_sample(self._call("forward_Y_term", (Y,)), Y)

    def jacobian(
        self, tangents: tuple[np.ndarray, ...], directions: list[np.ndarray], arrays: tuple[np.ndarray, ...]
    ) -> tuple[Any, ...]:
        of_params = {p: direction.T for p, direction in zip(self._store.params, directions, strict=True)}
        return self._call("jacobian", (*tangents, *arrays), {"tangents": of_params})

    def adjoint_jacobian(self, *arrays: np.ndarray) -> tuple[tuple[Any, ...], list[np.ndarray]]:
        """`backward` without log-determinants, with gradients of its own."""
        gradients = Gradients(self._store.params, self.dtype)
        run = Pass(gradients, self._samples(arrays[0]), logdets=False, sums_shared=True)
        return self._backward(arrays, run), [gradients.get(p).T for p in self._store.params]

    def _backward(self, arrays: tuple[Any, ...], run: Pass) -> tuple[Any, ...]:
        kept = self._kept_of(arrays)
        self.anchors.drift = None
        if kept is None:
            parts = self._parts(arrays)
            return self._attempt(arrays, run, parts, [NO_STATES] * len(parts))
        added = run.gradients.added() if kept.inputs else {}
        results, drift = self._from_anchors(arrays, run, kept)
        while self.anchors.saw(drift, np.finfo(self.dtype).eps, max(own.steps for own in kept.states)):
            run.gradients.take_back(added)
            _, states, parts = self._anchored(kept.inputs)
            kept = replace(kept, states=states, parts=parts)
            results, drift = self._from_anchors(arrays, run, kept)
        return results

    def _from_anchors(self, arrays: tuple[Any, ...], run: Pass, kept: Kept) -> tuple[tuple[Any, ...], float]:
        """What `backward` gives, and how far recomputed states were off."""
        states = [own.again() for own in kept.states]
        results = self._attempt(arrays, run, kept.parts, states)
        recomputed = results[1] if len(results) < 4 else results[2]
        return results, max(quietly(difference, probe(recomputed), kept.probe), *(own.drift for own in states))

    def _attempt(self, arrays: tuple[Any, ...], run: Pass, parts: list[slice], states: list[Any]) -> tuple[Any, ...]:
        method = "backward_from_input" if hasattr(self.layer, "backward_from_input") else "backward"
        alone = len(parts) == 1
        each = [run.gradients] if alone else [Gradients(self._store.params, self.dtype) for _ in parts]
        runs = [replace(run, gradients=own, states=of) for own, of in zip(each, states, strict=True)]
        results = self._in_parts(method, arrays, parts, [{"run": own} for own in runs])
        if not alone:
            run.gradients.set_sum(each)
        return results

    def _kept_of(self, arrays: tuple[Any, ...]) -> Kept | None:
        """What `forward` kept, if it gave these latents by these parameters and its states are still held."""
        if not len(self._all_kept):
            return None
        lanes = self.layer.lanes
        return self._all_kept.get(self.fingerprint(*arrays[lanes : 2 * lanes]))

    def fingerprint(self, *arrays: np.ndarray) -> int:
        return checksum([*arrays, self._store.data])

    def _call(self, method: str, arrays: tuple[Any, ...], given: dict[str, Any] = NOTHING) -> tuple[Any, ...]:
        parts = self._parts(arrays)
        return self._in_parts(method, arrays, parts, [given] * len(parts))

    def _in_parts(
        self, method: str, arrays: tuple[Any, ...], parts: list[slice], given: list[dict[str, Any]]
    ) -> tuple[Any, ...]:
        """The batch in parts, in threads where they gain time."""
        function = getattr(self.layer, method)
        if len(parts) == 1:
            threads = blas_threads() if self._is_large(arrays) else 1
            return with_blas_threads(threads, partial(_run, function, arrays, given[0]))
        cutting = Cutting(self.layer, method)
        calls = [
            partial(_run, function, cutting.take(arrays, part), own) for part, own in zip(parts, given, strict=True)
        ]
        results = with_blas_threads(1, partial(in_turns_or_threads, calls))
        return cutting.join(results, method.startswith("forward") and self._tracks(results[0]))

    def _parts(self, arrays: tuple[Any, ...]) -> list[slice]:
        """The parts of the batch that are computed at the same time; one where that would gain nothing."""
        cuttable = getattr(self.layer, "sample_by_sample", False) and self._is_large(arrays)
        if not cuttable or any(p.data is None for p in self._store.params):
            return [slice(None)]
        samples = self._samples(arrays[0])
        return shares(samples, min(num_threads(), samples))

    def _is_large(self, arrays: tuple[Any, ...]) -> bool:
        return arrays[0].size * self._store.data.size > LARGE

    def _tracks(self, results: tuple[Any, ...]) -> bool:
        """Whether the last result of `forward` is a log-determinant, of each sample or the same for all."""
        return isinstance(results[-1], float) or getattr(self.layer, "logdet", False)

    def _by_sample(self, results: tuple[Any, ...], array: np.ndarray) -> tuple[Any, ...]:
        *others, logdets = results
        return *others, np.full(self._samples(array), logdets, np.float64)

    def _samples(self, array: np.ndarray) -> int:
        return array.shape[-1] if array.ndim > 1 else self.layer.samples_of(array)

    def clear_grad(self) -> None:
        self.gradients.clear()

    def without_gradient(self, indices: list[int] | None) -> list[str]:
        chosen = range(len(self.parameters)) if indices is None else indices
        return [self.parameters[i][0] for i in chosen if self.gradients.get(self._store.params[i]) is None]

    def gradient_vector(self) -> np.ndarray | None:
        return self.gradients.flat if self.gradients.complete else None

    def optimiser_state(self, rule: str) -> dict[str, np.ndarray]:
        names = {"adam": ("m", "v"), "momentum": ("velocity",)}[rule]
        moments = {name: np.zeros(self._store.data.size, self.dtype) for name in names}
        return moments | ({"steps": np.zeros(len(self.parameters), np.int64)} if rule == "adam" else {})

    def update(self, rule: str, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None:
        """One update by one of Flux's rules of the parameters at `indices`, of all where it is `None`."""
        quietly(self._adam if rule == "adam" else self._momentum, state, indices, *numbers)

    def _momentum(self, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None:
        for part in [slice(None)] if indices is None else [self._store.slices[i] for i in indices]:
            _momentum(self._store.data[part], self.gradients.flat[part], state["velocity"][part], *numbers)

    def _adam(self, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None:
        store, steps = self._store, state["steps"]
        *rates, decay = numbers
        decays = (decay * store.decaying).astype(self.dtype) if decay else None

        def update(part: slice, step: int) -> None:
            moments = state["m"][part], state["v"][part]
            gradient = store.gradients.flat[part]
            _adam(store.data[part], gradient, *moments, step, *rates, None if decays is None else decays[part])

        if indices is None and steps.min() == steps.max():
            steps += 1
            update(slice(None), int(steps[0]))
            return
        for i in range(len(steps)) if indices is None else indices:
            steps[i] += 1
            update(store.slices[i], int(steps[i]))
