"""Which engine a network is made on."""

from __future__ import annotations

import os
import warnings

from .protocol import Engine

ENGINES = ("julia", "numpy")

_chosen: str | None = None

_found_no_julia = False


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
