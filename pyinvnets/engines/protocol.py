"""What an engine is to the rooms above it.

An engine makes handles; a handle is one network or layer in the engine's memory. Everything above this protocol
(arguments, checks, parameters, optimisers, weights) is written once, and the engines share nothing below it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Slot(Protocol):
    """One parameter: Julia's shape, views of the engine's memory, `None` where upstream holds `nothing`."""

    shape: tuple[int, ...]
    data: np.ndarray | None
    grad: np.ndarray | None


class Handle(Protocol):
    """One network or layer. Arrays are checked, column-major and of the network's dtype before they get here.

    A mode of `call` is a method of upstream's, or `"forward_by_sample"`: `forward` with the log-determinant of each
    sample, shape `(n_samples,)` and float64, in place of their mean; or `"forward_Y_by_sample"`: `forward_Y` with the
    log-determinants of this lane alone, which upstream leaves out.
    """

    parameters: list[tuple[str, Slot]]
    dtype: np.dtype
    spatial: tuple[int, ...] | None  # of the last forward, where the latent is a vector
    on_gpu: bool  # arrays are then `DeviceArray`s, but optimisers' states begin as NumPy's

    def call(self, mode: str, arrays: tuple[np.ndarray, ...]) -> tuple: ...
    def astype(self, dtype: np.dtype) -> None: ...
    def clear_grad(self) -> None: ...
    def without_gradient(self, indices: list[int] | None) -> list[str]: ...

    # The rules are "adam", with the numbers eta, beta1, beta2, epsilon, decay, and "momentum", with eta, rho. A state
    # is arrays that `update` writes into, and nothing else.
    def optimiser_state(self, rule: str) -> dict[str, np.ndarray]: ...
    def update(self, rule: str, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None: ...


class Engine(Protocol):
    name: str

    def create(self, kind: str, positional: tuple, keywords: dict[str, Any], seed: int | None) -> Handle: ...
    def call(self, function: str, *args: Any) -> Any: ...
