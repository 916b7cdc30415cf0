"""An objective at one batch, and its gradients between the moment that they are known and the update that they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays.cuda_interface import to_numpy
from ..arrays.latents import square_norm
from ..networks.base.layer import Layer
from ..networks.base.parameters import Parameter, clear_grad, get_params
from .optimisers import Optimiser


@dataclass(frozen=True)
class Evaluation:
    """The value of an objective at one batch.

    Attributes:
        objective: what is minimised, the mean over the batch.
        terms: the numbers that a history keeps beside it, by the names in `Objective.terms`.
        samples: number of samples in the batch.
        dimensions: number of elements of a sample's latents.
        set_gradients: a function that sets every parameter's gradient, where none is set yet.
    """

    objective: float
    terms: Mapping[str, float]
    samples: int
    dimensions: int
    set_gradients: Callable[[], Any]


class NotFinite(ArithmeticError):
    """An objective is not finite, so that it has no gradients."""

    def __init__(self, evaluation: Evaluation) -> None:
        terms = ", ".join(f"{name} {value}" for name, value in evaluation.terms.items())
        super().__init__(f"{evaluation.objective} ({terms})" if terms else str(evaluation.objective))


def differentiated(network: Layer, evaluation: Evaluation) -> Gradients:
    """The gradients of what was evaluated, in place of those that the network had.

    Raises:
        NotFinite: the objective is not finite. The network's gradients are then unchanged.
    """
    if not math.isfinite(evaluation.objective):
        raise NotFinite(evaluation)
    clear_grad(network)  # Conv1x1 adds to what is there.
    evaluation.set_gradients()
    return Gradients(network, evaluation)


class Gradients:
    """What `Objective.gradients` gives: the gradients of all parameters, which the network holds.

    Attributes:
        network: whose gradients they are.
        evaluation: the objective that they are of.
    """

    def __init__(self, network: Layer, evaluation: Evaluation) -> None:
        self.network, self.evaluation = network, evaluation
        self._copy: np.ndarray | None = None

    @property
    def vector(self) -> np.ndarray:
        """All gradients in one vector, in the order of `get_params`, each in column-major order.

        What is written into it counts in `apply`: to train on several machines, sum it over them and divide by their
        number. It is the engine's own memory where the engine holds all gradients together, and otherwise a copy.

        Raises:
            ValueError: a parameter has no gradient.
        """
        if self._copy is None:
            vector = gradient_vector(self.network)
            if self.network.model.gradient_vector() is not None:
                return vector
            self._copy = vector
        return self._copy

    def clip(self, largest: float) -> None:
        """Scale them all so that their norm together is not above `largest`."""
        held = self.network.model.gradient_vector() if self._copy is None else self._copy
        arrays = [p.grad for p in get_params(self.network) if p.grad is not None] if held is None else [held]
        norm = math.sqrt(sum(map(square_norm, arrays)))
        if norm > largest:
            for array in arrays:
                array *= largest / norm

    def apply(self, optimiser: Optimiser) -> None:
        """Make an update of them.

        Raises:
            ValueError: a parameter has no gradient. No parameter is changed then.
        """
        if self._copy is not None:
            write_gradients(self.network, self._copy)
        optimiser.update(self.network)


def gradient_vector(network: Layer) -> np.ndarray:
    """All gradients in one vector; see `Gradients.vector`."""
    held = network.model.gradient_vector()
    if held is not None:
        return held
    return np.concatenate([_gradient(p).ravel(order="F") for p in get_params(network)])


def write_gradients(network: Layer, vector: np.ndarray) -> None:
    """Set all gradients from one vector, the inverse of `gradient_vector`."""
    start = 0
    for p in get_params(network):
        stop = start + math.prod(p.shape)
        p.grad = vector[start:stop].reshape(p.shape, order="F")
        start = stop


def _gradient(parameter: Parameter) -> np.ndarray:
    if parameter.grad is None:
        raise ValueError(f"{parameter.name} has no gradient; the objective must set that of every parameter")
    return to_numpy(parameter.grad)
