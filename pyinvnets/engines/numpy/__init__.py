"""The reference engine: the layers of InvertibleNetworks.jl written independently in NumPy."""

from .engine import NumpyEngine

__all__ = ["NumpyEngine"]
