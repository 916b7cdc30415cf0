"""The engines and how one is chosen.

An engine makes handles; a handle is one network or layer in the engine's memory. Everything above this protocol
(arguments, checks, parameters, optimisers, weights) is written once, and the engines share nothing below it.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Protocol

import numpy as np

ENGINES = ("julia", "numpy")
_chosen: str | None = None
_found_no_julia = False


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


def use_engine(name: str) -> None:
    """Choose the engine of the networks made from now on.

    Args:
        name: `"julia"`, `"numpy"`, or `"auto"`: Julia where it is ready to start without downloading anything,
            otherwise NumPy.

    Raises:
        ValueError: for another name.
    """
    global _chosen
    _chosen = _checked(name, "use_engine")


def get_engine(name: str | None = None) -> Engine:
    """The engine called `name`, else the one of `use_engine`, of `PYINVNETS_ENGINE`, or of `"auto"`, in that order."""
    if name is not None:
        name = _checked(name, "engine=")
    elif _chosen is not None:
        name = _chosen
    else:
        name = _checked(os.environ.get("PYINVNETS_ENGINE") or "auto", "the environment variable PYINVNETS_ENGINE")
    if name == "auto":
        name = _automatic()
    return _julia() if name == "julia" else _numpy()


def _checked(name: str, source: str) -> str:
    if name not in (*ENGINES, "auto"):
        raise ValueError(f'{source} must be "julia", "numpy" or "auto", got {name!r}')
    return name


def _automatic() -> str:
    from . import julia

    global _found_no_julia
    if _found_no_julia:  # to look takes tens of milliseconds, and one process is to stay on one engine
        return "numpy"
    if julia.ready():
        return "julia"
    _found_no_julia = True
    warnings.warn(
        "pyinvnets uses its NumPy engine: Julia is not set up here. Run `python -m pyinvnets setup` for the Julia "
        'engine, or choose engine="numpy" to silence this.',
        UserWarning,
        stacklevel=5,
    )
    return "numpy"


def _numpy() -> Engine:
    from .numpy import NumpyEngine

    return NumpyEngine()


def _julia() -> Engine:
    from . import julia

    return julia.start()
