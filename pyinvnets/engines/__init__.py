"""The two engines, the protocol that both implement, and the choice between them."""

from .choice import get_engine, use_engine

__all__ = ["get_engine", "use_engine"]
