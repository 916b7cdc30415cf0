"""The Julia engine: InvertibleNetworks.jl through juliacall.

Importing this starts nothing. `ready` looks whether Julia could start without downloading; `start` starts it.
"""

from .errors import JuliaError
from .runtime import init, ready, start

__all__ = ["JuliaError", "init", "ready", "start"]
