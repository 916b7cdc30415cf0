"""Linear operators that are objects of an engine's own language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .choice import get_engine
from .julia import operators as julia


def products(A: Any) -> tuple[Callable[[np.ndarray], np.ndarray], ...] | None:
    """Products with A and with its adjoint, of matrices with a column for each sample; `None` where A is no object of
    an engine's own language. It must know `A * x` and `adjoint(A) * y`."""
    if not julia.is_julias(A):
        return None
    engine: Any = get_engine("julia")
    return julia.products(engine, A)
