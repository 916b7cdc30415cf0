"""Networks made of networks: their parts stay usable on their own and share their parameters with the whole."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays.latents import Array, difference
from ..arrays.quiet import quietly
from ..engines import get_engine
from .base.composite import CompositeModel
from .base.density import by_each_sample
from .base.flow import Flow
from .base.layer import Layer
from .base.parameters import get_params
from .base.shapes import ParameterShape, of_part, within
from .base.summary import Shape, Step, checked_steps


class Composite(Layer):
    """A network made of networks, which looks after its parts."""

    model: CompositeModel

    def parameters_changed(self) -> None:
        for part in self.model.parts.values():
            part.parameters_changed()
        super().parameters_changed()


def check_alike(owner: str, parts: Sequence[Layer]) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.engine != first.engine or part.dtype != first.dtype:
            raise ValueError(
                f"{owner}: all parts must be on one engine and of one dtype, got {first.engine} {first.dtype} and "
                f"{part.engine} {part.dtype}"
            )
    if len({id(part) for part in parts}) != len(parts):
        raise ValueError(f"{owner}: the same network is there twice; make a second one")


def first_reason(reasons: Iterator[tuple[Layer, str | None]]) -> str | None:
    return next((f"{part!r}: {reason}" for part, reason in reasons if reason), None)


@dataclass(frozen=True)
class Joints:
    """What a `Sequential` kept: some of the input, arrays that went from one part to the next, by the number of the
    part that gave them, and what the parts kept themselves, each of which recognises what it gave."""

    some: Array
    arrays: dict[int, Array]
    of_parts: list[Any]

    @property
    def size(self) -> int:
        return sum(array.size * array.dtype.itemsize for array in self.arrays.values())


class SequentialModel(CompositeModel):
    """The parts of a `Sequential`, each of which takes what the one before it gives; `backwards` from the last on."""

    def __init__(self, parts: dict[str, Layer], backwards: bool = False) -> None:
        super().__init__(parts)
        self._backwards = backwards
        self._in_turn = [*parts.values()][:: -1 if backwards else 1]
        self._all_kept: weakref.WeakValueDictionary[int, Joints] = weakref.WeakValueDictionary()

    def reversed(self, reverse: Callable[[Layer], Layer]) -> SequentialModel:
        parts = {name: reverse(part) for name, part in self.parts.items()}
        return SequentialModel(parts, not self._backwards)

    def forward(self, X: Array) -> tuple[Any, ...]:
        arrays, logdets = [X], []
        for part in self._in_turn:
            results = part.forward(X)
            X, *logdet = results if isinstance(results, tuple) else (results,)
            arrays.append(X)
            logdets += logdet
        self._keep(arrays)
        return (X, sum(logdets)) if logdets else (X,)

    def forward_by_sample(self, X: Array, *, keeps: bool = False) -> tuple[Any, ...]:
        arrays = [X]
        logdets: Any = 0.0
        for part in self._in_turn:
            X, own = by_each_sample(part, f"{part.title}.forward_by_sample", (X,), keeps=keeps)
            arrays.append(X)
            logdets = logdets + own
        if keeps:
            self._keep(arrays)
        return X, logdets

    def _keep(self, states: list[Array]) -> None:
        """What a part that kept states gave must come back to it as it was; what others gave is kept now and then."""
        first, *joints, last = states
        of_parts = [part.model.kept for part in self._in_turn]
        arrays = {
            number: array
            for number, (array, kept) in enumerate(zip(joints, of_parts, strict=False), 1)
            if self.keeps(number, kept is not None)
        }
        self.kept = kept = Joints(_some(first).copy(order="F"), arrays, of_parts)
        self._all_kept[self.fingerprint(last)] = kept
        self.anchors.size = kept.size + sum(part.model.anchors.size for part in self._in_turn)

    def inverse(self, Y: Array) -> tuple[Array]:
        for part in self._in_turn[::-1]:
            X = part.inverse(Y)
            Y = X[0] if isinstance(X, tuple) else X  # A reversed network gives its log-determinant too.
        return (Y,)

    def keeps(self, number: int, of_part: bool) -> bool:
        """Whether what the part of this number gives is kept, where the part has kept states or not."""
        chosen = self.anchors.value
        return chosen is not None and (of_part or chosen == "auto" or number % self.anchors.spacing == 0)

    def kept_elements(self, shape: Shape) -> int:
        total = 0
        for number, part in enumerate(self._in_turn, 1):
            steps = part.steps(shape)
            total += part.kept_elements(shape)
            shape = steps[-1].shape
            if number < len(self._in_turn) and self.keeps(number, any(step.ends for step in steps)):
                total += math.prod(shape)
        return total

    def backward(self, dY: Array, Y: Array) -> tuple[Array, Array]:
        kept = self._all_kept.get(self.fingerprint(Y)) if len(self._all_kept) else None
        drifts: list[float | None] = []
        for number in range(len(self._in_turn) - 1, -1, -1):
            part = self._in_turn[number]
            dY, Y = part.backward(dY, Y)
            drifts.append(part.model.anchors.drift)
            if kept is not None and number in kept.arrays:
                drifts.append(quietly(difference, Y, kept.arrays[number]))
                Y = kept.arrays[number]
        if kept is not None:
            drifts.append(quietly(difference, _some(Y), kept.some))
        self.kept = None
        self.anchors.drift = max((drift for drift in drifts if drift is not None), default=None)
        return dY, Y

    def jacobian(
        self, tangents: tuple[Array], directions: list[np.ndarray], inputs: tuple[Array]
    ) -> tuple[Array, Array]:
        (dX,), (X,), start = tangents, inputs, 0
        for part in self.parts.values():
            names = [p.name for p in get_params(part)]
            own = dict(zip(names, directions[start : start + len(names)], strict=True))
            dX, X = part.jacobian(dX, own, X)
            start += len(names)
        return dX, X

    def adjoint_jacobian(self, dY: Array, Y: Array) -> tuple[tuple[Array, Array], list[np.ndarray]]:
        gradients: list[np.ndarray] = []
        for part in reversed(self.parts.values()):
            dY, own, Y = part.adjoint_jacobian(dY, Y)
            gradients = [*own.values(), *gradients]
        return (dY, Y), gradients


def _some(array: Array) -> Array:
    """The first sample, or of a flat vector as many elements as a sample may have."""
    return array[..., :1] if array.ndim > 1 else array[..., :1024]


class Sequential(Composite, Flow):
    """Layers and networks of one input each, in turn: the first one given is applied first. (Upstream's
    `Composition` applies the last one first.)

    The parts are shared, not copied: to train the whole is to train them.

    `forward` returns `(Y, lgdet)` where any part tracks the log-determinant. With a part whose latent is a flat vector
    at the end, `spatial` is the image size of that part's input.

    Args:
        layers: at least one, on one engine and of one dtype; what one gives must be what the next takes.

    Arrays: those of the first layer, and the latent of the last.
    Parameters: `layers[1].…` and so on.
    Raises: TypeError for what is no layer, ValueError for layers that do not fit.
    Source: upstream's own.
    """

    upstream = "src/utils/invertible_network_sequential.jl"

    def __init__(self, *layers: Flow) -> None:
        if not layers:
            raise ValueError("Sequential: expected at least one layer")
        for layer in layers:
            if not isinstance(layer, Flow):
                raise TypeError(
                    f"Sequential: expected layers and networks with one input and one output, got {layer!r}"
                )
        check_alike("Sequential", layers)
        for before, after in itertools.pairwise(layers):
            _check_join(before, after)
        first, last = layers[0].signature, layers[-1].signature
        signature = self._described(
            first.inputs,
            last.latents,
            logdet=any(layer.signature.logdet for layer in layers),
            splits=last.splits,
            images=last.images,
            no_logdet=first_reason((layer, layer.signature.no_logdet) for layer in layers),
            data_splits=first.data_splits,
            no_jacobian=first_reason((layer, layer.signature.no_jacobian) for layer in layers),
            no_gpu=first_reason((layer, layer.signature.no_gpu) for layer in layers),
        )
        parts = {f"layers[{i}]": layer for i, layer in enumerate(layers, 1)}
        self._adopt(get_engine(layers[0].engine), SequentialModel(parts), signature)

    @staticmethod
    def shapes(layers: Any) -> Iterator[ParameterShape]:
        for i, layer in enumerate(layers, 1):
            yield from within(f"layers[{i}]", of_part(layer))

    @classmethod
    def make(cls, arguments: Mapping[str, Any], engine: str | None, seed: int | None = None) -> Sequential:
        return cls(*arguments["layers"])

    def steps(self, shape: Shape) -> list[Step]:
        steps = []
        for name, part in self.model.parts.items():
            own = checked_steps(part, f"{part.title}.summary", shape)
            steps += [step.within(name) for step in own]
            shape = own[-1].shape
        return steps

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.arguments['layers']))})"


def _check_join(before: Flow, after: Flow) -> None:
    gives, takes = before.signature.latent, after.signature.data
    if not gives.joins(takes):
        raise ValueError(
            f"Sequential: {type(before).__name__} gives arrays of {gives.describe()}, but {type(after).__name__} takes "
            f"{takes.describe()}"
        )
