"""Squeezers, which trade pixels for channels: values that a constructor takes, and functions.

Source: InvertibleNetworks.jl, src/utils/dimensionality_operations.jl.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays.checks import checked
from ..arrays.spec import ArraySpec
from ..engines.choice import get_engine
from .value import _ANY, _Value


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
        super().__post_init__()
        check_pattern(self.pattern, "ShuffleLayer")


@dataclass(frozen=True)
class WaveletLayer(Squeezer):
    """One level of a wavelet transform, channel by channel; `type` is `"db1"` or its other name `"haar"`.

    Raises:
        ValueError: another wavelet.
    """

    type: str = "db1"

    def __post_init__(self) -> None:
        super().__post_init__()
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
    return checked(name, X, ArraySpec(multiple=2), None, owner)


def checked_divisible(name: str, Y: np.ndarray, owner: str) -> np.ndarray:
    """`Y` with a number of channels that can be unsqueezed."""
    Y = checked(name, Y, _ANY, None, owner)
    factor = 2 ** (Y.ndim - 2)
    if Y.shape[-2] % factor:
        raise ValueError(f"{owner}: {name} must have a multiple of {factor} channels, got shape {Y.shape}")
    return Y


def squeeze(X: np.ndarray, pattern: str = "column", *, engine: str | None = None) -> np.ndarray:
    """Move half of each spatial axis into channels.

    ```
    1 2 3 4        1 1 3 3        1 3 1 3
    1 2 3 4        1 1 3 3        2 4 2 4
    1 2 3 4        2 2 4 4        1 3 1 3
    1 2 3 4        2 2 4 4        2 4 2 4

    column          patch       checkerboard
    ```

    Args:
        X: shape `(nx, ny, n_channels, n_samples)` with even `nx` and `ny`, or with one or three spatial axes.
        pattern: `"column"`, `"patch"` or `"checkerboard"`.

    Returns:
        Shape `(nx/2, ny/2, 4 n_channels, n_samples)`.

    Raises:
        ValueError: an odd size or an unknown pattern.
    """
    check_pattern(pattern, "squeeze")
    return get_engine(engine).call("squeeze", checked_even("X", X, "squeeze"), pattern)


def unsqueeze(Y: np.ndarray, pattern: str = "column", *, engine: str | None = None) -> np.ndarray:
    """The inverse of `squeeze`: `(nx, ny, n_channels, n_samples)` to `(2 nx, 2 ny, n_channels/4, n_samples)`.

    Raises:
        ValueError: channels that do not divide, or an unknown pattern.
    """
    check_pattern(pattern, "unsqueeze")
    return get_engine(engine).call("unsqueeze", checked_divisible("Y", Y, "unsqueeze"), pattern)


def wavelet_squeeze(X: np.ndarray, type: str = "db1", *, engine: str | None = None) -> np.ndarray:
    """One level of the wavelet transform of each channel, its parts moved into channels; shapes as `squeeze`.

    Raises:
        ValueError: an odd size, or a wavelet other than `"db1"`, also called `"haar"`.
    """
    check_wavelet(type, "wavelet_squeeze")
    return get_engine(engine).call("wavelet_squeeze", checked_even("X", X, "wavelet_squeeze"), type)


def wavelet_unsqueeze(Y: np.ndarray, type: str = "db1", *, engine: str | None = None) -> np.ndarray:
    """The inverse of `wavelet_squeeze`."""
    check_wavelet(type, "wavelet_unsqueeze")
    return get_engine(engine).call("wavelet_unsqueeze", checked_divisible("Y", Y, "wavelet_unsqueeze"), type)


def Haar_squeeze(X: np.ndarray, *, engine: str | None = None) -> np.ndarray:
    """The Haar transform by lifting; shapes as `squeeze`."""
    return get_engine(engine).call("Haar_squeeze", checked_even("X", X, "Haar_squeeze"))


def invHaar_unsqueeze(Y: np.ndarray, *, engine: str | None = None) -> np.ndarray:
    """The inverse of `Haar_squeeze`."""
    return get_engine(engine).call("invHaar_unsqueeze", checked_divisible("Y", Y, "invHaar_unsqueeze"))


def tensor_split(
    X: np.ndarray, split_index: int | None = None, *, engine: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The first `split_index` channels and the rest; half of them by default, a half rounded to even.

    Raises:
        ValueError: the index leaves one side without channels.
    """
    X = checked("X", X, _ANY, None, "tensor_split")
    n = X.shape[-2]
    index = round(n / 2) if split_index is None else split_index
    if not 0 < index < n:
        raise ValueError(f"tensor_split: cannot split {n} channel(s) after {index}; expected 1 to {n - 1}")
    return get_engine(engine).call("tensor_split", X, index)


def tensor_cat(X: np.ndarray, Y: np.ndarray, *, engine: str | None = None) -> np.ndarray:
    """Join two arrays along channels, the inverse of `tensor_split`.

    Raises:
        ValueError: they differ in another axis.
    """
    X, Y = (checked(k, a, _ANY, None, "tensor_cat") for k, a in (("X", X), ("Y", Y)))
    if X.shape[:-2] != Y.shape[:-2] or X.shape[-1] != Y.shape[-1] or X.dtype != Y.dtype:
        raise ValueError(
            f"tensor_cat: arrays must agree in dtype and all axes but the channels, got {X.shape} {X.dtype} and "
            f"{Y.shape} {Y.dtype}"
        )
    return get_engine(engine).call("tensor_cat", X, Y)
