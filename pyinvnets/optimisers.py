"""Optimisers with Flux's arithmetic, which run inside the network's engine."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable

from .invertible import Invertible
from .parameters import Parameter


class Adam:
    """Adam (Kingma and Ba, 2015), https://arxiv.org/abs/1412.6980, as Flux 0.14 has it.

    Args:
        learning_rate: step size.
        beta: decay of the first and the second moment.
        epsilon: added to the root of the second moment.

    Raises:
        ValueError: a learning rate or epsilon that is not finite and positive, or decays outside [0, 1).

    Source: Flux.jl, src/optimise/optimisers.jl.
    """

    def __init__(
        self, learning_rate: float = 0.001, beta: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
    ) -> None:
        for name, value in (("learning_rate", learning_rate), ("epsilon", epsilon)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"Adam: {name} must be a positive finite number, got {value}")
        if len(beta) != 2 or not all(0 <= b < 1 for b in beta):
            raise ValueError(f"Adam: beta must be two numbers in [0, 1), got {beta}")
        self.learning_rate = float(learning_rate)
        self.beta = (float(beta[0]), float(beta[1]))
        self.epsilon = float(epsilon)
        self._states: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    def update(self, target: Invertible | Parameter | Iterable[Parameter]) -> None:
        """One update from the gradients that `backward` set.

        Args:
            target: a network, whose parameters are then all updated in one call (the fast way), a parameter, or some
                parameters of one network.

        Raises:
            ValueError: there is no gradient. No parameter is changed then.
        """
        if isinstance(target, Invertible):
            network, indices = target, None
        else:
            parameters = [target] if isinstance(target, Parameter) else list(target)
            if not parameters:
                return
            network = parameters[0]._owner
            if any(p._owner is not network for p in parameters):
                raise ValueError("Adam.update: the parameters belong to several networks; update one network at a time")
            indices = [p._index for p in parameters]
        handle = network._handle
        missing = handle.without_gradient(indices)
        if missing:
            raise ValueError(f"Adam.update: {missing[0]} has no gradient; call backward first")
        state = self._states.get(handle)
        if state is None:
            state = self._states[handle] = handle.optimiser_state()
        handle.adam(state, indices, self.learning_rate, self.beta, self.epsilon)

    def __repr__(self) -> str:
        return f"Adam(learning_rate={self.learning_rate}, beta={self.beta}, epsilon={self.epsilon})"
