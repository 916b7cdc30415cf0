"""Optimisers with Flux's arithmetic, which run inside the network's engine, and learning rates that change."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ..arrays.cuda_interface import to_numpy
from ..networks.base.layer import Layer
from ..networks.base.parameters import Parameter


class Optimiser:
    """What the optimisers share: which parameters an update is of, and the state that is kept for each network.

    Attributes:
        learning_rate: may be changed between updates.
    """

    _rule: ClassVar[str]
    """The engine's name for the arithmetic."""

    def __init__(self, learning_rate: float) -> None:
        self._check_positive(learning_rate=learning_rate)
        self.learning_rate = float(learning_rate)
        self._states: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    def _numbers(self) -> tuple[float, ...]:
        raise NotImplementedError

    def _check_positive(self, **numbers: float) -> None:
        for name, value in numbers.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{type(self).__name__}: {name} must be a positive finite number, got {value}")

    def update(self, target: Layer | Parameter | Iterable[Parameter]) -> None:
        """One update from the gradients that `backward` set.

        Args:
            target: a network, whose parameters are then all updated in one call (the fast way), a parameter, or some
                parameters of one network.

        Raises:
            ValueError: there is no gradient. No parameter is changed then.
        """
        title = f"{type(self).__name__}.update"
        if isinstance(target, Layer):
            network, indices = target, None
        else:
            parameters = [target] if isinstance(target, Parameter) else list(target)
            if not parameters:
                return
            network = parameters[0].network
            if any(p.network is not network for p in parameters):
                raise ValueError(f"{title}: the parameters belong to several networks; update one network at a time")
            indices = [p.index for p in parameters]
        missing = network.model.without_gradient(indices)
        if missing:
            raise ValueError(f"{title}: {missing[0]} has no gradient; call backward first")
        network.model.update(self._rule, self._state(network), indices, *self._numbers())

    def _state(self, network: Layer) -> dict[str, np.ndarray]:
        if network not in self._states:
            self._states[network] = network.model.optimiser_state(self._rule)
        return self._states[network]

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy, which take the networks along whose updates are remembered."""
        return vars(self) | {"_states": [(network, self.state_dict(network)) for network in self._states]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _states=weakref.WeakKeyDictionary(state["_states"]))

    def state_dict(self, network: Layer) -> dict[str, np.ndarray]:
        """Copies of what is remembered of earlier updates of `network`, by name. Each engine has its own names."""
        return {name: to_numpy(array).copy() for name, array in self._state(network).items()}

    def load_state_dict(self, network: Layer, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state_dict` of the same kind of optimiser and network, on the same engine.

        Raises:
            ValueError: names, shapes or types differ. The optimiser is then unchanged.
        """
        own = self.check_state(network, state)
        self._states[network] = {name: np.array(state[name], order="C") for name in own}

    def check_state(self, network: Layer, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """An empty state, like which the given one is; raises as `load_state_dict`, and changes nothing."""
        own = network.model.optimiser_state(self._rule)
        if set(state) != set(own):
            raise ValueError(f"{type(self).__name__}: expected a state of {sorted(own)}, got {sorted(state)}")
        for name, array in own.items():
            if state[name].shape != array.shape or state[name].dtype.kind != array.dtype.kind:
                raise ValueError(
                    f"{type(self).__name__}: {name} must be of {array.dtype} and shape {array.shape}, got "
                    f"{state[name].dtype} and {state[name].shape}"
                )
        return own


class Adam(Optimiser):
    """Adam (Kingma and Ba, 2015), https://arxiv.org/abs/1412.6980, as Flux 0.14 has it.

    Args:
        learning_rate: step size.
        beta: decay of the first and the second moment.
        epsilon: added to the root of the second moment.

    Raises:
        ValueError: a learning rate or epsilon that is not finite and positive, or decays outside [0, 1).

    Source: Flux.jl, src/optimise/optimisers.jl.
    """

    _rule = "adam"

    def __init__(
        self, learning_rate: float = 0.001, beta: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
    ) -> None:
        super().__init__(learning_rate)
        self._check_positive(epsilon=epsilon)
        if len(beta) != 2 or not all(0 <= b < 1 for b in beta):
            raise ValueError(f"{type(self).__name__}: beta must be two numbers in [0, 1), got {beta}")
        self.beta = (float(beta[0]), float(beta[1]))
        self.epsilon = float(epsilon)

    def _numbers(self) -> tuple[float, ...]:
        return self.learning_rate, *self.beta, self.epsilon, 0.0

    def __repr__(self) -> str:
        return f"Adam(learning_rate={self.learning_rate}, beta={self.beta}, epsilon={self.epsilon})"


class AdamW(Adam):
    """Adam with decoupled weight decay. Each update is Adam's, less a part of each parameter's value before it.

    That part is `decay + learning_rate * weight_decay`; give one of both. `decay` is Flux's, who composes
    `Optimiser(Adam(η, β), WeightDecay(decay))`: it stays where the learning rate changes. `weight_decay` is PyTorch's,
    in proportion to the learning rate.

    Parameters that are frozen (`freeze_conv=True`) do not decay.

    Args:
        learning_rate, beta, epsilon: as for `Adam`.
        decay: the part of each parameter that an update takes away.
        weight_decay: the same, divided by the learning rate.

    Raises:
        ValueError: as `Adam`; a decay outside [0, 1), a weight_decay that is not finite or is negative, or both.

    Source: Loshchilov and Hutter (2019), «Decoupled Weight Decay Regularization», https://arxiv.org/abs/1711.05101;
    Flux.jl, src/optimise/optimisers.jl; torch.optim.AdamW.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta: tuple[float, float] = (0.9, 0.999),
        decay: float = 0.0,
        epsilon: float = 1e-8,
        *,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, beta, epsilon)
        if not 0 <= decay < 1:
            raise ValueError(f"AdamW: decay must be a number in [0, 1), got {decay}")
        if not (math.isfinite(weight_decay) and weight_decay >= 0):
            raise ValueError(f"AdamW: weight_decay must be a finite number, zero or more, got {weight_decay}")
        if decay and weight_decay:
            raise ValueError(
                f"AdamW: give decay, which the learning rate leaves alone, or weight_decay, which is multiplied by it, "
                f"got {decay} and {weight_decay}"
            )
        self.decay, self.weight_decay = float(decay), float(weight_decay)

    def _numbers(self) -> tuple[float, ...]:
        decay = self.decay + self.learning_rate * self.weight_decay
        return self.learning_rate, *self.beta, self.epsilon, decay

    def __repr__(self) -> str:
        decay = f"weight_decay={self.weight_decay}" if self.weight_decay else f"decay={self.decay}"
        return f"AdamW(learning_rate={self.learning_rate}, beta={self.beta}, {decay}, epsilon={self.epsilon})"


class SGD(Optimiser):
    """Gradient descent: Flux 0.14's `Descent`, and with momentum its `Momentum`.

    `v = momentum * v - learning_rate * gradient`, then `x = x + v`.

    Args:
        learning_rate: step size.
        momentum: how much of the last step is made again.

    Raises:
        ValueError: a learning rate that is not finite and positive, or momentum outside [0, 1).

    Source: Flux.jl, src/optimise/optimisers.jl.
    """

    _rule = "momentum"

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0) -> None:
        super().__init__(learning_rate)
        if not 0 <= momentum < 1:
            raise ValueError(f"SGD: momentum must be a number in [0, 1), got {momentum}")
        self.momentum = float(momentum)

    def _numbers(self) -> tuple[float, ...]:
        return self.learning_rate, self.momentum

    def __repr__(self) -> str:
        return f"SGD(learning_rate={self.learning_rate}, momentum={self.momentum})"
