"""Activation functions and squeezers, as values that a constructor takes. Each engine brings its own arithmetic.

Source: InvertibleNetworks.jl, src/utils/activation_functions.jl and src/utils/dimensionality_operations.jl.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .arrays import Space, checked
from .engines import get_engine

_ANY = Space()


class _Value:
    @property
    def arguments(self) -> dict[str, Any]:
        return asdict(self)

    def _call(self, function: str, engine: str | None, **arrays: np.ndarray) -> np.ndarray:
        arrays = {k: checked(k, a, _ANY, None, type(self).__name__) for k, a in arrays.items()}
        return get_engine(engine).call(function, self, *arrays.values())


class ActivationFunction(_Value):
    """An elementwise function: `forward(x)`, `inverse(y)` where there is one, and `backward(dy, y)`, the gradient
    from the output (for `GaLUlayer`, which has no inverse, from the input). Arrays have Julia's shape."""

    invertible = True
    positive = False
    """Whether the value is above zero, as the scale of a coupling layer must be."""

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


class Squeezer(_Value):
    """Moves half of each spatial axis into channels: `forward(X)`, and `inverse(Y)` back.

    `(nx, ny, n_channels, n_samples)` becomes `(nx/2, ny/2, 4 n_channels, n_samples)`, and alike for one and three
    spatial axes.
    """

    def forward(self, X: np.ndarray, *, engine: str | None = None) -> np.ndarray:
        return self._call("squeezer_forward", engine, X=checked_even("X", X, type(self).__name__))

    def inverse(self, Y: np.ndarray, *, engine: str | None = None) -> np.ndarray:
        return self._call("squeezer_inverse", engine, Y=checked_divisible("Y", Y, type(self).__name__))


PATTERNS = ("column", "patch", "checkerboard")


@dataclass(frozen=True)
class ShuffleLayer(Squeezer):
    """Moves pixels only; `pattern` is `"checkerboard"`, `"patch"` or `"column"` (see `squeeze`).

    Raises:
        ValueError: another pattern.
    """

    pattern: str = "checkerboard"

    def __post_init__(self) -> None:
        check_pattern(self.pattern, "ShuffleLayer")


@dataclass(frozen=True)
class WaveletLayer(Squeezer):
    """One level of a wavelet transform, channel by channel; `type` is `"db1"` or its other name `"haar"`.

    Raises:
        ValueError: another wavelet.
    """

    type: str = "db1"

    def __post_init__(self) -> None:
        check_wavelet(self.type, "WaveletLayer")


@dataclass(frozen=True)
class HaarLayer(Squeezer):
    """The Haar transform by lifting, its parts side by side."""


def check_pattern(pattern: str, owner: str) -> None:
    if pattern not in PATTERNS:
        raise ValueError(f"{owner}: pattern must be one of {', '.join(PATTERNS)}, got {pattern!r}")


def check_wavelet(type: str, owner: str) -> None:
    if type not in ("db1", "haar"):
        raise ValueError(f'{owner}: type must be "db1" or "haar", the Haar wavelet, got {type!r}')


def checked_even(name: str, X: np.ndarray, owner: str) -> np.ndarray:
    return checked(name, X, Space(multiple=2), None, owner)


def checked_divisible(name: str, Y: np.ndarray, owner: str) -> np.ndarray:
    """`Y` with a number of channels that can be unsqueezed."""
    Y = checked(name, Y, _ANY, None, owner)
    factor = 2 ** (Y.ndim - 2)
    if Y.shape[-2] % factor:
        raise ValueError(f"{owner}: {name} must have a multiple of {factor} channels, got shape {Y.shape}")
    return Y
