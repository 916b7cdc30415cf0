"""The choice of the engine that a network is made on."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from .._warnings import warn
from .protocol import Engine

ENGINES = {"julia": "pyinvnets.engines.julia", "numpy": "pyinvnets.engines.numpy"}
"""The modules of the engines: each has `ready()` and `start()`. `"auto"` takes the first that is ready."""

_chosen: str | None = None
_found: str | None = None
"""What `"auto"` has found: to look takes tens of milliseconds, and one process is to stay on one engine."""


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
    """The engine called `name`; by default that of `use_engine`, else of `PYINVNETS_ENGINE`, else `"auto"`."""
    if name is not None:
        name = _checked(name, "engine=")
    elif _chosen is not None:
        name = _chosen
    else:
        name = _checked(os.environ.get("PYINVNETS_ENGINE") or "auto", "the environment variable PYINVNETS_ENGINE")
    return _module(_automatic() if name == "auto" else name).start()


def _checked(name: str, source: str) -> str:
    if name not in (*ENGINES, "auto"):
        raise ValueError(f'{source} must be "julia", "numpy" or "auto", got {name!r}')
    return name


def _module(name: str) -> ModuleType:
    return importlib.import_module(ENGINES[name])


def _automatic() -> str:
    global _found
    if _found is None:
        found = next(name for name in ENGINES if _module(name).ready())
        if found != "julia":
            _found = found
            warn(
                "pyinvnets uses its NumPy engine: Julia is not set up here. Run `python -m pyinvnets setup` for the "
                'Julia engine, or choose engine="numpy" to silence this.',
                UserWarning,
            )
        return found
    return _found
