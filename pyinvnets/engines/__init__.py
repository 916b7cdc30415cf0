"""The engines, the protocol that both stand behind, and how one is chosen."""

from .choice import get_engine, use_engine

__all__ = ["get_engine", "use_engine"]
