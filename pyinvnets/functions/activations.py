"""Activation functions: values that a constructor takes. Each engine brings its own arithmetic.

Source: InvertibleNetworks.jl, src/utils/activation_functions.jl.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .value import _Value


class ActivationFunction(_Value):
    """An elementwise function: `forward(x)`, `inverse(y)` where there is one, and `backward(dy, y)`, the gradient
    from the output (for `GaLUlayer`, which has no inverse, from the input). Arrays have Julia's shape."""

    invertible = True

    @property
    def positive(self) -> bool:
        """Whether the value is above zero, as the scale of a coupling layer must be."""
        return False

    def forward(self, x: np.ndarray, *, engine: str | None = None) -> np.ndarray:
        return self._call("activation_forward", engine, x=x)

    def inverse(self, y: np.ndarray, *, engine: str | None = None) -> np.ndarray:
        if not self.invertible:
            raise TypeError(f"{type(self).__name__} is not invertible")
        return self._call("activation_inverse", engine, y=y)

    def backward(self, dy: np.ndarray, y: np.ndarray, *, engine: str | None = None) -> np.ndarray:
        return self._call("activation_backward", engine, dy=dy, y=y)


@dataclass(frozen=True)
class ReLUlayer(ActivationFunction):
    """`max(x, 0)`; its gradient at zero is one, as upstream has it."""

    invertible = False


@dataclass(frozen=True)
class LeakyReLUlayer(ActivationFunction):
    """`x` where it is positive, else `0.01 x`."""


@dataclass(frozen=True)
class SigmoidLayer(ActivationFunction):
    """`low + (high - low) / (1 + exp(-x))`.

    Raises:
        ValueError: `low` is not below `high`, or one is not finite.
    """

    low: float = 0.0
    high: float = 1.0

    @property
    def positive(self) -> bool:
        return self.low >= 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"SigmoidLayer needs finite low < high, got low={self.low}, high={self.high}")


@dataclass(frozen=True)
class Sigmoid2Layer(ActivationFunction):
    """Twice the sigmoid: one at zero."""

    positive = True


@dataclass(frozen=True)
class GaLUlayer(ActivationFunction):
    """Gated linear unit: the first half of the channels times the sigmoid of the second (Dauphin et al., 2017,
    https://arxiv.org/abs/1612.08083)."""

    invertible = False


@dataclass(frozen=True)
class ExpClampLayer(ActivationFunction):
    """`exp(2 * 0.636 * atan(x))`, a softly clamped exponential. Its gradient and its inverse are the true ones on
    both engines; upstream's own layer halves the output first and is wrong in both."""

    positive = True
