"""Squeezes: half of each spatial axis moves into channels. All are orthogonal, so their log-determinant is zero.

Source: InvertibleNetworks.jl, src/utils/dimensionality_operations.jl.
"""

from __future__ import annotations

import math

import numpy as np


def _axes(d: int) -> tuple[list[int], list[int]]:
    """Positions of the halved axes and of the pairs in `(channels, samples, n, 2, n, 2, ...)`."""
    return [2 + 2 * i for i in range(d)], [3 + 2 * i for i in range(d)]


def _pairs(x: np.ndarray, pattern: str) -> np.ndarray:
    """`(2, ..., 2, channels, samples, *half)`: one leading axis of two for each spatial axis, in the same order."""
    d = x.ndim - 2
    if pattern == "patch":
        shape = [s for n in x.shape[2:] for s in (2, n // 2)]
        pairs, halves = _axes(d)
    else:
        shape = [s for n in x.shape[2:] for s in (n // 2, 2)]
        halves, pairs = _axes(d)
    return np.ascontiguousarray(x.reshape(*x.shape[:2], *shape).transpose(*pairs, 0, 1, *halves))


def _unpairs(y: np.ndarray, pattern: str) -> np.ndarray:
    """The inverse of `_pairs`."""
    d = (y.ndim - 2) // 2
    spatial = y.shape[d + 2 :]
    order = [d, d + 1]
    for i in range(d):
        order += [i, d + 2 + i] if pattern == "patch" else [d + 2 + i, i]
    y = np.ascontiguousarray(y.transpose(order))
    return y.reshape(*y.shape[:2], *(2 * n for n in spatial))


def _butterfly(y: np.ndarray, axes: range) -> np.ndarray:
    """The Haar transform along axes of length two: (first + second, first - second) / sqrt(2); its own inverse."""
    r = y.dtype.type(math.sqrt(0.5))
    for axis in axes:
        first, second = np.take(y, 0, axis), np.take(y, 1, axis)
        y = np.stack((first + second, first - second), axis) * r
    return y


class ShuffleLayer:
    def __init__(self, pattern: str = "checkerboard") -> None:
        self.pattern = pattern

    def forward(self, x):
        d = x.ndim - 2
        half = tuple(n // 2 for n in x.shape[2:])
        channels, samples = x.shape[:2]
        if self.pattern == "column":
            return _swapped_reshape(x, (samples, channels << d, *half))
        return _pairs(x, self.pattern).reshape(channels << d, samples, *half)

    def inverse(self, y):
        d = y.ndim - 2
        channels, samples = len(y) >> d, y.shape[1]
        if self.pattern == "column":
            return _swapped_reshape(y, (samples, channels, *(2 * n for n in y.shape[2:])))
        return _unpairs(y.reshape(*(2,) * d, channels, *y.shape[1:]), self.pattern)


def _swapped_reshape(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A reshape of Julia's memory, in which samples come before channels."""
    return np.ascontiguousarray(x.swapaxes(0, 1).reshape(shape).swapaxes(0, 1))


class HaarLayer:
    """Channels in upstream's order: the first spatial axis' bit varies slowest, the third's fastest."""

    @staticmethod
    def _order(d: int) -> list[int]:
        # Leading axes are (z, y, x) here; upstream's slowest is x, then y, then z.
        return list(range(d))[::-1]

    def forward(self, x):
        d = x.ndim - 2
        y = _butterfly(_pairs(x, "checkerboard"), range(d))
        y = np.ascontiguousarray(y.transpose(*self._order(d), *range(d, y.ndim)))
        return y.reshape(len(x) << d, *y.shape[d + 1 :])

    def inverse(self, y):
        d = y.ndim - 2
        y = y.reshape(*(2,) * d, len(y) >> d, *y.shape[1:])
        y = y.transpose(*self._order(d), *range(d, y.ndim))
        return _unpairs(_butterfly(y, range(d)), "checkerboard")


class WaveletLayer:
    """One level of the Haar wavelet transform of each channel; the four parts of a channel stay together.

    Wavelets.jl takes second less first, so each pair is flipped.
    """

    def __init__(self, type: str = "db1") -> None:
        self.type = type

    def forward(self, x):
        d = x.ndim - 2
        y = _butterfly(np.flip(_pairs(x, "checkerboard"), range(d)), range(d))
        y = np.ascontiguousarray(np.moveaxis(y, d, 0))
        return y.reshape(len(x) << d, *y.shape[d + 1 :])

    def inverse(self, y):
        d = y.ndim - 2
        y = np.moveaxis(y.reshape(len(y) >> d, *(2,) * d, *y.shape[1:]), 0, d)
        return _unpairs(np.flip(_butterfly(y, range(d)), range(d)), "checkerboard")
