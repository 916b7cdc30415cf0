"""The reference engine: the layers of InvertibleNetworks.jl written independently in NumPy."""

import numpy as np

from .engine import NumpyEngine, register

__all__ = ["NumpyEngine", "ready", "register", "start"]


def ready() -> bool:
    """Always: this engine needs nothing else."""
    return True


def start() -> NumpyEngine:
    return NumpyEngine()


# glibc gives freed memory of many arrays back to the system at once, and then every page of the next layer's arrays is
# a fault: a third of the time of an update of images. Once an array of this size was freed, the largest that counts, it
# keeps what is freed for the next one.
np.empty(2**25 - 2**16, np.uint8)
