"""The protocol that every engine implements.

An engine makes models; a model is one network or layer in the engine's memory. Everything above this protocol
(arguments, checks, parameters, optimisers, weights) is written once, and the engines share nothing below it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..arrays.latents import Array
from ..arrays.spec import ArraySpec
from .anchors import Anchors


class StoredParameter(Protocol):
    """One parameter in the engine's memory: Julia's shape, and views that are `None` while upstream holds `nothing`."""

    shape: tuple[int, ...]
    data: np.ndarray | None
    grad: np.ndarray | None


class Model(Protocol):
    """One network or layer. Arrays are checked, column-major and of the network's dtype before they get here.

    Every method that propagates gives a tuple; a log-determinant is its last item, a float, the mean over the batch.
    How a call runs is in its name and its arguments, never in a mode that another call or thread could see.
    """

    parameters: list[tuple[str, StoredParameter]]
    dtype: np.dtype
    spatial: tuple[int, ...] | None  # of the last forward, where the latent is a vector
    on_gpu: bool  # arrays are then `DeviceArray`s, but optimisers' states begin as NumPy's

    # What the last `forward` kept, until `backward`; whoever holds on to it may call that `backward` later too, which
    # recognises what its `forward` gave, by the same parameters: then they have the same `fingerprint`.
    anchors: Anchors
    kept: Any

    def fingerprint(self, *arrays: Array) -> int: ...

    def forward(self, *arrays: Any) -> tuple[Any, ...]: ...
    def inverse(self, *arrays: Any) -> tuple[Any, ...]: ...
    def backward(self, *arrays: Any) -> tuple[Any, ...]: ...

    # With the log-determinant of each sample, shape `(n_samples,)` and float64, in place of their mean; `keeps` says
    # whether states are kept as `forward` keeps them.
    def forward_by_sample(self, *arrays: Array, keeps: bool = False) -> tuple[Any, ...]: ...

    # Of `jacobian` the arrays' tangents and the arrays; of `adjoint_jacobian` these, and the parameters' gradients.
    def jacobian(
        self, tangents: tuple[Array, ...], directions: list[np.ndarray], arrays: tuple[Array, ...]
    ) -> tuple[Array, ...]: ...
    def adjoint_jacobian(self, *arrays: Array) -> tuple[tuple[Array, ...], list[np.ndarray]]: ...

    # Raises as `arrays.checks.checked`; `place` gives an array where the network is.
    def accept(self, name: str, array: Any, spec: ArraySpec, title: str) -> Array: ...
    def place(self, array: Array) -> Array: ...
    def move(self, to_gpu: bool, title: str) -> None: ...

    def astype(self, dtype: np.dtype) -> None: ...
    def clear_grad(self) -> None: ...
    def without_gradient(self, indices: list[int] | None) -> list[str]: ...

    # All gradients, in the order of `parameters` and each in column-major order, where the model holds them in one
    # vector in NumPy's memory and none is missing: that vector itself. Otherwise `None`.
    def gradient_vector(self) -> np.ndarray | None: ...

    # The rules are "adam", with the numbers eta, beta1, beta2, epsilon, decay, and "momentum", with eta, rho. A state
    # is arrays that `update` writes into, and nothing else.
    def optimiser_state(self, rule: str) -> dict[str, np.ndarray]: ...
    def update(self, rule: str, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None: ...


class PairModel(Model, Protocol):
    """The model of a pair whose second array is transformed without the first."""

    def forward_Y(self, Y: Array) -> tuple[Array]: ...
    def inverse_Y(self, Zy: Array) -> tuple[Array]: ...

    # With the log-determinants of this array alone, which upstream leaves out.
    def forward_Y_by_sample(self, Y: Array) -> tuple[Array, Array]: ...


class Engine(Protocol):
    """Makes models, and computes functions that need no model."""

    name: str

    def supports(self, kind: str, arguments: dict[str, Any]) -> str | None:
        """The reason why this engine cannot make a network of this kind with these arguments; `None` if it can."""

    def create(self, kind: str, positional: tuple[Any, ...], keywords: dict[str, Any], seed: int | None) -> Model: ...

    def reversed(self, model: Model) -> Model:
        """A model that runs the other way and shares the parameters, with their names: its `forward` is the inverse,
        with the log-determinant of it, and its `backward` the gradient of that. A condition is always as the given
        model's `forward` takes it, and is not returned."""

    def call(self, function: str, *args: Any) -> Any: ...
