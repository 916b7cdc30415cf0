"""Flows over plain vectors: a row is a sample. To GLOW a vector is an image of one pixel."""

from .flow import VectorFlow

__all__ = ["VectorFlow"]
