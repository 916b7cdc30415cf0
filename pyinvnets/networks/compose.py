"""Networks made of networks: their parts stay usable on their own and share their parameters with the whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .base.conditional import Conditional, ConditionalDensity
from .base.flow import OneLane, OneLaneJacobian
from .base.layer import Invertible
from .flux import FluxBlock
from .residual import ResidualBlock


class CompositeHandle:
    """Several networks of one engine behind the protocol of one. `modes` does the arithmetic with their methods."""

    def __init__(self, parts: dict[str, Invertible], modes: dict[str, Callable[..., tuple]]) -> None:
        self._parts, self._modes = parts, modes
        self.parameters = [
            (f"{name}.{inner}", slot) for name, part in parts.items() for inner, slot in part._handle.parameters
        ]

    @property
    def _last(self) -> Invertible:
        return list(self._parts.values())[-1]

    @property
    def dtype(self) -> np.dtype:
        return self._last.dtype

    @property
    def spatial(self) -> tuple[int, ...] | None:
        return self._last._handle.spatial

    @spatial.setter
    def spatial(self, value: tuple[int, ...] | None) -> None:
        self._last._handle.spatial = value

    @property
    def parts(self) -> Iterator[Invertible]:
        return iter(self._parts.values())

    @property
    def on_gpu(self) -> bool:
        return self._last._handle.on_gpu

    def move(self, to_gpu: bool) -> None:
        for part in self._parts.values():
            part._handle.move(to_gpu)

    def call(self, mode: str, arrays: tuple[np.ndarray, ...]) -> tuple:
        return self._modes[mode](*arrays)

    def astype(self, dtype: np.dtype) -> None:
        for part in self._parts.values():
            part.astype(dtype)

    def clear_grad(self) -> None:
        for part in self._parts.values():
            part._handle.clear_grad()

    def _shares(self, indices: list[int] | None) -> Iterator[tuple[str, Invertible, list[int] | None]]:
        """Each part with the indices that fall to it."""
        start = 0
        for name, part in self._parts.items():
            count = len(part._handle.parameters)
            if indices is None:
                yield name, part, None
            else:
                own = [i - start for i in indices if start <= i < start + count]
                if own:
                    yield name, part, own
            start += count

    def without_gradient(self, indices: list[int] | None) -> list[str]:
        return [
            f"{name}.{inner}"
            for name, part, own in self._shares(indices)
            for inner in part._handle.without_gradient(own)
        ]

    def optimiser_state(self, rule: str) -> dict[str, np.ndarray]:
        return {
            f"{name}.{key}": array
            for name, part in self._parts.items()
            for key, array in part._handle.optimiser_state(rule).items()
        }

    def update(self, rule: str, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None:
        for name, part, own in self._shares(indices):
            start = f"{name}."
            of_part = {key.removeprefix(start): array for key, array in state.items() if key.startswith(start)}
            part._handle.update(rule, of_part, own, *numbers)
            state.update({f"{start}{key}": array for key, array in of_part.items()})


def _one_engine(owner: str, parts: Sequence[Invertible]) -> str:
    first = parts[0]
    for part in parts[1:]:
        if part.engine != first.engine or part.dtype != first.dtype:
            raise ValueError(
                f"{owner}: all parts must be on one engine and of one dtype, got {first.engine} {first.dtype} and "
                f"{part.engine} {part.dtype}"
            )
    if len({id(part) for part in parts}) != len(parts):
        raise ValueError(f"{owner}: the same network is there twice; make a second one")
    return first.engine


def _with_term(results) -> tuple[np.ndarray, float | None]:
    """A layer's output and its log-determinant, where it tracks one."""
    return results if isinstance(results, tuple) else (results, None)


class Sequential(OneLane, OneLaneJacobian):
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

    def __init__(self, *layers: OneLane) -> None:
        if not layers:
            raise ValueError("Sequential: expected at least one layer")
        for layer in layers:
            if not isinstance(layer, OneLane):
                raise TypeError(
                    f"Sequential: expected layers and networks with one input and one output, got {layer!r}"
                )
        engine = _one_engine("Sequential", layers)
        for before, after in itertools.pairwise(layers):
            _check_join(before, after)
        self._layers = layers
        parts = {f"layers[{i}]": layer for i, layer in enumerate(layers, 1)}
        modes = {
            "forward": self._forward,
            "forward_by_sample": self._forward_with_terms,
            "inverse": self._inverse,
            "backward": self._backward,
            "jacobian": self._jacobian,
            "adjointJacobian": self._adjoint_jacobian,
        }
        self._adopt(engine, CompositeHandle(parts, modes), layers[0]._data, layers[-1]._latent)
        self._splits = layers[-1]._splits

    @property
    def _no_density(self) -> str | None:
        return next((f"{layer!r}: {layer._no_density}" for layer in self._layers if layer._no_density), None)

    @property
    def _image(self):
        return self._layers[-1]._image

    def _forward(self, X):
        terms = []
        for layer in self._layers:
            X, term = _with_term(layer.forward(X))
            if term is not None:
                terms.append(term)
        return (X, sum(terms)) if terms else (X,)

    def _forward_with_terms(self, X):
        terms = 0.0
        for layer in self._layers:
            X, term = layer._forward_by_sample(self._title, (X,))
            terms = terms + term
        return X, terms

    def _inverse(self, Y):
        for layer in reversed(self._layers):
            Y, _ = _with_term(layer.inverse(Y))
        return (Y,)

    def _backward(self, dY, Y):
        for layer in reversed(self._layers):
            dY, Y = layer.backward(dY, Y)
        return dY, Y

    def _check_differentiable(self) -> None:
        for layer in self._layers:
            if not isinstance(layer, OneLaneJacobian):
                raise TypeError(f"Sequential: upstream has no derivative of {layer!r}")

    def _jacobian(self, dX, directions, X):
        self._check_differentiable()
        start = 0
        for layer in self._layers:
            names = [p.name for p in layer._parameters]
            own = dict(zip(names, directions[start : start + len(names)], strict=True))
            dX, X = layer.jacobian(dX, own, X)
            start += len(names)
        return dX, X

    def _adjoint_jacobian(self, dY, Y):
        self._check_differentiable()
        gradients = []
        for layer in reversed(self._layers):
            dY, own, Y = layer.adjoint_jacobian(dY, Y)
            gradients = [*own.values(), *gradients]
        return dY, gradients, Y

    @classmethod
    def _make(cls, arguments: dict, engine: str | None) -> Sequential:
        return cls(*arguments["layers"])

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self._layers))})"


def _check_join(before: OneLane, after: OneLane) -> None:
    gives, takes = before._latent, after._data
    if not gives.joins(takes):
        raise ValueError(
            f"Sequential: {type(before).__name__} gives arrays of {gives.describe()}, but {type(after).__name__} takes "
            f"{takes.describe()}"
        )


class SummarizedNet(ConditionalDensity, Invertible):
    """A conditional network whose condition is a summary of the data `Y`, learnt with it.

    Both parts are shared, not copied.

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

    def __init__(self, cond_net: Conditional, sum_net: ResidualBlock | FluxBlock | Sequence) -> None:
        several = isinstance(sum_net, (list, tuple))
        blocks = tuple(sum_net) if several else (sum_net,)
        if not isinstance(cond_net, Conditional):
            raise TypeError(f"SummarizedNet: cond_net must be a conditional network, got {cond_net!r}")
        if not blocks or not all(isinstance(block, (ResidualBlock, FluxBlock)) for block in blocks):
            raise TypeError(
                f"SummarizedNet: sum_net must be a ResidualBlock, a FluxBlock or several in turn, got {sum_net!r}"
            )
        engine = _one_engine("SummarizedNet", (cond_net, *blocks))
        joins = [
            *((a._latent, b._data) for a, b in itertools.pairwise(blocks)),
            (blocks[-1]._latent, cond_net._condition),
        ]
        for gives, takes in joins:
            if not gives.joins(takes):
                raise ValueError(
                    f"SummarizedNet: a summary of {gives.describe()} goes to what takes {takes.describe()}"
                )
        if several:
            self.arguments["sum_net"] = blocks
        self._cond_net, self._blocks = cond_net, blocks
        names = [f"sum_net[{i}]" for i in range(1, len(blocks) + 1)] if several else ["sum_net"]
        parts = {"cond_net": cond_net, **dict(zip(names, blocks, strict=True))}
        modes = {
            "forward": self._forward,
            "forward_by_sample": self._forward_with_terms,
            "inverse": self._inverse,
            "backward": self._backward,
        }
        self._condition, self._splits = blocks[0]._data, cond_net._splits
        self._adopt(engine, CompositeHandle(parts, modes), cond_net._data, cond_net._latent)

    def forward(self, X: np.ndarray, Y: np.ndarray) -> tuple:
        """From data to latent, given `Y`.

        Args:
            X: data of `cond_net`.
            Y: what is summarised, shape `(nx, [ny, [nz,]] n_channels, n_samples)`.

        Returns:
            As `cond_net.forward` of X and the summary: `(Z, C_, lgdet)`, `C_` being the summary as `inverse` takes it.

        Raises:
            TypeError, ValueError: an array of another dtype or shape. The network is unchanged.
        """
        return self._run("forward", (self._data, self._blocks[0]._data), X=X, Y=Y)

    def inverse(self, Z: np.ndarray, C: np.ndarray) -> np.ndarray:
        """From latent to data.

        Args:
            Z, C: as `forward` returns them.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised.
        """
        return self._run("inverse", (self._latent, self._cond_net._latent_condition), Z=Z, C=C)

    def backward(self, dZ: np.ndarray, Z: np.ndarray, C: np.ndarray, *, Y_save: np.ndarray) -> tuple:
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
        spaces = (self._latent, self._latent, self._cond_net._latent_condition, self._blocks[0]._data)
        return self._run("backward", spaces, dZ=dZ, Z=Z, C=C, Y_save=Y_save)

    def _states(self, Y) -> list[np.ndarray]:
        """The input of each block, and the summary."""
        states = [Y]
        for block in self._blocks:
            states.append(block.forward(states[-1]))
        return states

    def _forward(self, X, Y):
        return self._cond_net.forward(X, self._states(Y)[-1])

    def _forward_with_terms(self, X, Y):
        network, summary = self._cond_net, self._states(Y)[-1]
        inputs = network._checked(self._title, (network._data, network._condition), {"X": X, "C": summary})
        return network._forward_by_sample(self._title, inputs)

    def _inverse_condition(self, title: str, C: np.ndarray) -> np.ndarray:
        return self._cond_net._inverse_condition(title, self._states(C)[-1])

    @property
    def _no_density(self) -> str | None:
        return self._cond_net._no_density

    def _inverse(self, Z, C):
        return (self._cond_net.inverse(Z, C),)

    def _backward(self, dZ, Z, C, Y):
        dX, X, dY = self._cond_net.backward(dZ, Z, C)
        inputs = self._states(Y)[:-1]
        for block, state in zip(reversed(self._blocks), reversed(inputs), strict=True):
            dY = block.backward(dY, state)
        return dX, X, dY

    def __repr__(self) -> str:
        return f"SummarizedNet({self.arguments['cond_net']!r}, {self.arguments['sum_net']!r})"
