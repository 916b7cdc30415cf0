"""Activation functions: value, inverse, and the gradient from the output (or, for a gate, from the input).

Source: InvertibleNetworks.jl, src/utils/activation_functions.jl.
"""

from __future__ import annotations

import numpy as np

from .layout import split


class ReLUlayer:
    def forward(self, x):
        return np.maximum(x, 0)

    def gate(self, delta, x):
        """`delta` in place, zero where `x < 0`; at exactly zero the gradient is one, as upstream has it."""
        delta *= x >= 0
        return delta

    def backward(self, delta, y):
        return self.gate(delta.copy(), y)


class LeakyReLUlayer:
    slope = 0.01

    def forward(self, x):
        return np.maximum(x, x * self.slope)

    def inverse(self, y):
        return np.minimum(y, y / self.slope)

    def gate(self, delta, x):
        delta *= np.where(x < 0, delta.dtype.type(self.slope), delta.dtype.type(1))
        return delta

    def backward(self, delta, y):
        return self.gate(delta.copy(), y)


class SigmoidLayer:
    """`low + (high - low) / (1 + exp(-x))`."""

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        self.low, self.high = low, high

    def forward(self, x):
        y = np.exp(-x)
        y += 1
        np.reciprocal(y, out=y)
        if self.high - self.low != 1:
            y *= self.high - self.low
        if self.low:
            y += self.low
        return y

    def inverse(self, y):
        return np.log(y - self.low) - np.log(self.high - y)

    def backward(self, delta, y):
        slope = (self.high - y) * (y - self.low)
        if self.high - self.low != 1:
            slope /= self.high - self.low
        slope *= delta
        return slope


class Sigmoid2Layer(SigmoidLayer):
    """Twice the sigmoid, so that it is one at zero."""

    def __init__(self) -> None:
        super().__init__(0.0, 2.0)


class GaLUlayer:
    """Gated linear unit: the first half of the channels times the sigmoid of the second.

    Source: Dauphin et al. (2017), «Language Modeling with Gated Convolutional Networks»,
    https://arxiv.org/abs/1612.08083.
    """

    sigmoid = SigmoidLayer()

    def forward(self, x):
        x1, x2 = split(x)
        return x1 * self.sigmoid.forward(x2)

    def backward(self, delta, x):
        x1, x2 = split(x)
        gate = self.sigmoid.forward(x2)
        return np.concatenate((gate * delta, self.sigmoid.backward(delta, gate) * x1))

    def jacobian(self, dx, x):
        """The derivative along `dx`."""
        (dx1, dx2), (x1, x2) = split(dx), split(x)
        gate = self.sigmoid.forward(x2)
        return dx1 * gate + self.sigmoid.backward(dx2, gate) * x1


class Identity:
    """No activation."""

    def forward(self, x):
        return x

    def backward(self, delta, x):
        return delta

    def jacobian(self, dx, x):
        return dx


class ExpClampLayer:
    """The softly clamped exponential `exp(2 * 0.636 * atan(x))`.

    Its gradient here is the true one. Upstream's layer halves the output before it inverts it, so that its
    gradient belongs to another point.
    """

    clamp = 2 * 0.636

    def forward(self, x):
        return np.exp(self.clamp * np.arctan(x))

    def inverse(self, y):
        return np.tan(np.log(y) / self.clamp)

    def backward(self, delta, y):
        return self.clamp * delta * y / (1 + self.inverse(y) ** 2)
