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
from .base.conditional import ConditionalFlow
from .base.density import by_each_sample
from .base.flow import Flow
from .base.layer import Layer
from .base.parameters import get_params
from .base.shapes import ParameterShape, of_part, within
from .base.summary import Shape, Step, checked_steps
from .flux import FluxBlock
from .residual import ResidualBlock


class _Composite(Layer):
    """A network made of networks, which looks after its parts."""

    model: CompositeModel

    def parameters_changed(self) -> None:
        for part in self.model.parts.values():
            part.parameters_changed()
        super().parameters_changed()


def _check_alike(owner: str, parts: Sequence[Layer]) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.engine != first.engine or part.dtype != first.dtype:
            raise ValueError(
                f"{owner}: all parts must be on one engine and of one dtype, got {first.engine} {first.dtype} and "
                f"{part.engine} {part.dtype}"
            )
    if len({id(part) for part in parts}) != len(parts):
        raise ValueError(f"{owner}: the same network is there twice; make a second one")


def _first_reason(reasons: Iterator[tuple[Layer, str | None]]) -> str | None:
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
        model = SequentialModel(parts, not self._backwards)
        model.anchors.value = self.anchors.value
        return model

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


class Sequential(_Composite, Flow):
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
        _check_alike("Sequential", layers)
        for before, after in itertools.pairwise(layers):
            _check_join(before, after)
        first, last = layers[0].signature, layers[-1].signature
        signature = self._described(
            first.inputs,
            last.latents,
            logdet=any(layer.signature.logdet for layer in layers),
            splits=last.splits,
            images=last.images,
            no_logdet=_first_reason((layer, layer.signature.no_logdet) for layer in layers),
            data_splits=first.data_splits,
            no_jacobian=_first_reason((layer, layer.signature.no_jacobian) for layer in layers),
            no_gpu=_first_reason((layer, layer.signature.no_gpu) for layer in layers),
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


class SummarizedModel(CompositeModel):
    """A conditional network and the blocks that make its condition."""

    def __init__(self, cond_net: ConditionalFlow, blocks: dict[str, Layer]) -> None:
        super().__init__({"cond_net": cond_net, **blocks})
        self._cond_net, self._blocks = cond_net, list(blocks.values())

    @property
    def _last(self) -> Layer:
        return self._cond_net

    def reversed(self, reverse: Callable[[Layer], Layer]) -> ReversedSummarizedModel:
        blocks = {name: part for name, part in self.parts.items() if name != "cond_net"}
        model = ReversedSummarizedModel(reverse(self._cond_net), blocks)
        model.anchors.value = self.anchors.value
        return model

    def kept_elements(self, shape: Shape) -> int:
        return self._cond_net.kept_elements(shape)

    def states(self, Y: Array) -> list[Array]:
        """The input of each block, and the summary."""
        states = [Y]
        for block in self._blocks:
            states.append(block.forward(states[-1]))
        return states

    def forward(self, X: Array, Y: Array) -> tuple[Any, ...]:
        results = self._cond_net.forward(X, self.states(Y)[-1])
        self._keep()
        return results

    def forward_by_sample(self, X: Array, Y: Array, *, keeps: bool = False) -> tuple[Any, ...]:
        title = f"{self._cond_net.title}.forward_by_sample"
        results = by_each_sample(self._cond_net, title, (X, self.states(Y)[-1]), keeps=keeps)
        self._keep()
        return results

    def _keep(self) -> None:
        """The conditional network recognises what it gave by itself."""
        self.kept, self.anchors.size = self._cond_net.model.kept, self._cond_net.model.anchors.size

    def inverse(self, Z: Array, C: Array) -> tuple[Array]:
        return (self._cond_net.inverse(Z, C),)

    def backward(self, *arrays: Array) -> tuple[Array, Array, Array]:
        """Of a gradient, a latent, the condition as `forward` returned it, and what is summarised."""
        *of_network, Y = arrays
        dX, X, dC = self._pulled_back(*of_network)
        return dX, X, self._back(dC, self.states(Y))

    def _pulled_back(self, *arrays: Array) -> tuple[Array, Array, Array]:
        results = self._cond_net.backward(*arrays)
        self.kept, self.anchors.drift = None, self._cond_net.model.anchors.drift
        return results

    def _back(self, delta: Array, states: list[Array]) -> Array:
        """The gradient of what is summarised, from that of the summary."""
        for block, state in zip(reversed(self._blocks), reversed(states[:-1]), strict=True):
            delta = block.backward(delta, state)
        return delta


class ReversedSummarizedModel(SummarizedModel):
    """The same with the reversed conditional network, to which the condition is always the summary."""

    def inverse(self, X: Array, Y: Array) -> tuple[Array]:
        return super().inverse(X, self.states(Y)[-1])

    def backward(self, *arrays: Array) -> tuple[Array, Array, Array]:
        dX, X, Y = arrays
        states = self.states(Y)
        dZ, Z, dC = self._pulled_back(dX, X, states[-1])
        return dZ, Z, self._back(dC, states)


class SummarizedNet(_Composite, ConditionalFlow):
    """A conditional network whose condition is a summary of the data `Y`, learnt with it.

    Both parts are shared, not copied. As a density it is that of `X` given `Y`: what `log_prob` and `sample` call the
    condition is `Y`.

    Args:
        cond_net: a `NetworkConditionalGlow`.
        sum_net: a `ResidualBlock` or, on the Julia engine, a `FluxBlock`, or several in turn; the last output is the
            condition.

    Arrays: `X` as `cond_net` takes it, `Y` as the first block takes it, of X's spatial size.
    Parameters: `cond_net.…`, then `sum_net.…` (`sum_net[1].…` of several).
    Raises: TypeError, ValueError for parts that do not fit.
    Source: Radev et al. (2020), «BayesFlow: Learning complex stochastic models with invertible neural networks»,
    https://arxiv.org/abs/2003.06281; upstream's implementation.
    """

    upstream = "src/networks/summarized_net.jl"
    condition_has_datas_size = False
    model: SummarizedModel

    def __init__(self, cond_net: ConditionalFlow, sum_net: ResidualBlock | FluxBlock | Sequence[Layer]) -> None:
        several = isinstance(sum_net, (list, tuple))
        blocks = tuple(sum_net) if several else (sum_net,)
        if not isinstance(cond_net, ConditionalFlow) or not cond_net.returns_condition:
            raise TypeError(
                "SummarizedNet: cond_net must be a conditional network, which gives the condition too, got "
                f"{cond_net!r}"
            )
        if not blocks or not all(isinstance(block, (ResidualBlock, FluxBlock)) for block in blocks):
            raise TypeError(
                f"SummarizedNet: sum_net must be a ResidualBlock, a FluxBlock or several in turn, got {sum_net!r}"
            )
        _check_alike("SummarizedNet", (cond_net, *blocks))
        of_network = cond_net.signature
        joins = [
            *((a.signature.latent, b.signature.data) for a, b in itertools.pairwise(blocks)),
            (blocks[-1].signature.latent, of_network.condition),
        ]
        for gives, takes in joins:
            if not gives.joins(takes):
                raise ValueError(
                    f"SummarizedNet: a summary of {gives.describe()} goes to what takes {takes.describe()}"
                )
        if several:
            self._declared["sum_net"] = blocks
        names = [f"sum_net[{i}]" for i in range(1, len(blocks) + 1)] if several else ["sum_net"]
        signature = self._described(
            of_network.inputs,
            of_network.latents,
            logdet=of_network.logdet,
            splits=of_network.splits,
            condition=blocks[0].signature.data,
            latent_condition=of_network.latent_condition,
            no_logdet=of_network.no_logdet,
            no_gpu=_first_reason((part, part.signature.no_gpu) for part in (cond_net, *blocks)),
        )
        model = SummarizedModel(cond_net, dict(zip(names, blocks, strict=True)))
        self._adopt(get_engine(cond_net.engine), model, signature)

    @staticmethod
    def shapes(cond_net: Any, sum_net: Any) -> Iterator[ParameterShape]:
        yield from within("cond_net", of_part(cond_net))
        if isinstance(sum_net, list):
            for i, block in enumerate(sum_net, 1):
                yield from within(f"sum_net[{i}]", of_part(block))
        else:
            yield from within("sum_net", of_part(sum_net))

    @classmethod
    def make(cls, arguments: Mapping[str, Any], engine: str | None, seed: int | None = None) -> SummarizedNet:
        return cls(**arguments)

    def latent_condition_size(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        return self.arguments["cond_net"].latent_condition_size(spatial)

    def forward(self, X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """From data to latent, given `Y`.

        Args:
            X: data of `cond_net`.
            Y: what is summarised, shape `(nx, [ny, [nz,]] n_channels, n_samples)`.

        Returns:
            As `cond_net.forward` of X and the summary: `(Z, C_, lgdet)`, `C_` being the summary as `inverse` takes it.

        Raises:
            TypeError, ValueError: an array of another dtype or shape. The network is unchanged.
        """
        return self._run("forward", (self.signature.data, self.signature.condition), X=X, Y=Y)

    def backward(
        self, dZ: np.ndarray, Z: np.ndarray, C: np.ndarray, *, Y_save: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Set every parameter's gradient, that of `f(Z) - lgdet`.

        Args:
            dZ: gradient of `f`.
            Z, C: as `forward` returned them.
            Y_save: the `Y` given to `forward`; the summary cannot be inverted.

        Returns:
            `(dX, X, dY)`: the gradient with respect to X, X recomputed, and the gradient with respect to Y.

        Raises:
            TypeError, ValueError: as `inverse`.
        """
        takes = self.signature
        specs = (takes.latent, takes.latent, takes.latent_condition, takes.condition)
        return self._run("backward", specs, dZ=dZ, Z=Z, C=C, Y_save=Y_save)

    def pull_back(
        self, cotangents: tuple[Array, ...], latents: tuple[Array, ...], condition: tuple[Array, ...], inputs: tuple
    ) -> tuple[Array, ...]:
        dX, _, dY = self.backward(*cotangents, *latents, *condition, Y_save=inputs[1])
        return dX, dY

    def condition_for_inverse(self, C: Array) -> Array:
        return self.arguments["cond_net"].condition_for_inverse(self.model.states(C)[-1])

    def input_shapes(self, shape: Shape) -> dict[str, Shape | None]:
        channels = self.signature.condition.channels
        return {"X": shape, "Y": None if channels is None else (*shape[:-2], channels, shape[-1])}

    def state_shapes(self, shape: Shape) -> list[Shape]:
        return self.arguments["cond_net"].state_shapes(shape)

    def steps(self, shape: Shape) -> list[Step]:
        steps = []
        for name, part in self.model.parts.items():
            if name != "cond_net":
                steps += [
                    step.within(name) for step in part.steps((*shape[:-2], part.signature.data.channels, shape[-1]))
                ]
        return [*steps, *(step.within("cond_net") for step in self.arguments["cond_net"].steps(shape))]

    def __repr__(self) -> str:
        return f"SummarizedNet({self.arguments['cond_net']!r}, {self.arguments['sum_net']!r})"
