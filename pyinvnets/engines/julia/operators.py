"""Linear operators that are Julia's own objects, such as those of JOLI and JUDI, applied to NumPy arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .engine import JuliaEngine


def is_julias(value: Any) -> bool:
    """Whether it is an object of Julia's, which juliacall holds; where nobody imported that, there is none."""
    juliacall = sys.modules.get("juliacall")
    return juliacall is not None and isinstance(value, juliacall.AnyValue)


def products(engine: JuliaEngine, A: Any) -> tuple[Callable[[np.ndarray], np.ndarray], ...]:
    """Products with A and with its adjoint, of matrices with a column for each sample, in float32 or float64."""

    def times(operator: Any) -> Callable[[np.ndarray], np.ndarray]:
        def product(X: np.ndarray) -> np.ndarray:
            X = np.asfortranarray(X)  # Its memory is borrowed in the call.
            return engine.bridge.view(engine.bridge.product(operator, engine.borrowed(X)))

        return product

    return times(A), times(engine.bridge.adjoint(A))
