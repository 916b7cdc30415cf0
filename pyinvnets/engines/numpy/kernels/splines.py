"""Monotonic rational-quadratic splines on a square, one for each element of an array, and the identity outside of it.

Source: Durkan et al. (2019), «Neural Spline Flows», https://arxiv.org/abs/1906.04032; Gregory and Delbourgo (1982),
«Piecewise rational quadratic interpolation to monotonic data», https://doi.org/10.1093/imanum/2.2.123.

Elements are on the last axis here, `m` of them. The logits of their splines are rows: of the slopes at the inner knots
first, then of the bins' widths, then of their heights.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

SMALLEST = 1e-3
"""The least slope at a knot, and the least width and height of a bin as a part of the square's side."""

_LOGIT_OF_ONE = math.log(math.expm1(1 - SMALLEST))
"""The logit for which a slope is one, less that of zero."""


@dataclass(slots=True)
class Bins:
    """The bin of each element.

    Attributes:
        parts: of all bins, `(2, n_bins, m)`: the widths and heights, as parts of what is left to share of the sides.
        index: which bin, `(m,)`.
        corners: its knots, `(2, 2, m)`: `x` and `y`, each before and behind.
        width, height, steepness: the height is the steepness times the width.
        softplus: of the logits of the slopes at both knots, `(2, m)`.
        ratios: these slopes by the steepness, `(2, m)`.
    """

    parts: np.ndarray
    index: np.ndarray
    corners: np.ndarray
    width: np.ndarray
    height: np.ndarray
    steepness: np.ndarray
    softplus: np.ndarray
    ratios: np.ndarray


class Point:
    """An element on its spline, from its bin and how far through the bin's width it is, from 0 to 1.

    Attributes:
        bins: the bin.
        ways: what is left of the way and what is done of it, `(2, m)`.
        rise: what is done of the bin's height.
        slope: the derivative of the spline.
    """

    __slots__ = ("bins", "denominator", "numerator", "product", "rise", "slope", "squares", "ways")

    def __init__(self, bins: Bins, done: np.ndarray) -> None:
        before, behind = bins.ratios
        self.bins = bins
        self.ways = np.empty((2, len(done)), done.dtype)
        np.subtract(1, done, out=self.ways[0])
        self.ways[1] = done
        self.squares = self.ways * self.ways
        self.product = self.ways[0] * done
        weighted = bins.ratios * self.squares
        self.denominator = 1 + (before + behind - 2) * self.product
        self.numerator = weighted[0] + weighted[1] + 2 * self.product
        self.rise = (self.squares[1] + before * self.product) / self.denominator
        self.slope = bins.steepness * self.numerator / (self.denominator * self.denominator)

    @property
    def x(self) -> np.ndarray:
        return self.bins.corners[0, 0] + self.bins.width * self.ways[1]

    @property
    def y(self) -> np.ndarray:
        return self.bins.corners[1, 0] + self.bins.height * self.rise

    @property
    def bend(self) -> np.ndarray:
        """The derivative of the slope's logarithm by the part of the way that is done."""
        before, behind = self.bins.ratios
        left, done = self.ways
        of_numerator = (behind * done - before * left + left - done) / self.numerator
        return 2 * (of_numerator - (before + behind - 2) * (left - done) / self.denominator)


class Splines:
    """Splines of `n_bins` bins each on the square from `-bound` to `bound`."""

    def __init__(self, n_bins: int, bound: float) -> None:
        self.n_bins, self.bound = n_bins, float(bound)
        self.n_logits = 3 * n_bins - 1
        self._unit = 2 * self.bound * (1 - n_bins * SMALLEST)  # What the bins share, beside their least sizes.

    def forward(self, x: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, Point]:
        """The splines' values at `x` `(m,)`, by logits `(n_logits, m)`."""
        inside = np.minimum(np.maximum(x, -self.bound), self.bound)
        bins = self._bins(inside, logits, axis=0)
        point = Point(bins, (inside - bins.corners[0, 0]) / bins.width)
        return point.y + (x - inside), point

    def inverse(self, y: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, Point]:
        """The `x` with these values: the root of a quadratic equation, by that of its formulas that cancels nothing."""
        inside = np.minimum(np.maximum(y, -self.bound), self.bound)
        bins = self._bins(inside, logits, axis=1)
        before, behind = bins.ratios
        rise = (inside - bins.corners[1, 0]) / bins.height
        linear = before - rise * (before + behind - 2)
        root = np.sqrt(linear * linear + 4 * (1 - linear) * rise) + np.abs(linear)
        done = np.where(linear > 0, 2 * rise, root) / np.where(linear > 0, root, 2 * (1 - linear))
        point = Point(bins, np.minimum(done, 1))
        return point.x + (y - inside), point

    def gradient(self, x: np.ndarray, dy: np.ndarray, d_log: float, point: Point) -> tuple[np.ndarray, np.ndarray]:
        """The gradients of `x` and of the logits, from those of the values, `dy`, and of the slopes' logarithms."""
        bins, done = point.bins, point.ways[1]
        over = point.product / point.denominator
        of_rise = dy * bins.height * over
        d_ratios = np.empty_like(bins.ratios)
        np.multiply(of_rise, -point.rise, out=d_ratios[1])
        np.add(of_rise, d_ratios[1], out=d_ratios[0])
        dx = dy * point.slope
        d_x_before = -dx
        if d_log:
            d_ratios += d_log * (point.squares / point.numerator - 2 * over)
            bend = d_log * point.bend / bins.width
            d_x_before -= bend
            dx += self._in_square(x, bend)
        weighted = bins.ratios * d_ratios
        d_relative = d_log - weighted[0] - weighted[1]  # Of the steepness, times the steepness.
        d_corners = np.empty_like(bins.corners)
        (x_before, d_width), (y_before, d_height) = d_corners
        np.subtract(d_x_before * done, d_relative / bins.width, out=d_width)
        np.add(dy * point.rise, d_relative / bins.height, out=d_height)
        np.subtract(d_x_before, d_width, out=x_before)
        np.subtract(dy, d_height, out=y_before)
        return dx, self._logits_gradient(bins, d_corners, d_ratios / bins.steepness)

    def log_slope_gradient(self, x: np.ndarray, d_log: float, point: Point) -> np.ndarray:
        """The gradient of `x` from that of the slopes' logarithms alone."""
        return self._in_square(x, d_log * point.bend / point.bins.width)

    def _in_square(self, x: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x) < self.bound, values, 0)

    def _bins(self, inside: np.ndarray, logits: np.ndarray, axis: int) -> Bins:
        """The bins in which coordinates of the square, `x` (axis 0) or `y` (1), are."""
        n, m = self.n_bins, len(inside)
        parts = logits[n - 1 :].reshape(2, n, m)
        parts = parts - np.maximum.reduce(parts, axis=1, keepdims=True)
        np.exp(parts, out=parts)
        parts /= np.add.reduce(parts, axis=1, keepdims=True)
        matrix, offsets = _to_knots(n, self.bound, parts.dtype)
        knots = matrix @ parts
        knots += offsets
        knots[:, n] = self.bound
        index = np.add.reduce(inside >= knots[axis, 1:n], axis=0, dtype=np.uint16).astype(np.intp)
        places = index * m + _range(m)
        corners = knots.reshape(-1).take(places + _steps(m, 0, 1, n + 1, n + 2)).reshape(2, 2, m)
        width, height = corners[:, 1] - corners[:, 0]
        steepness = height / width
        of_slopes = np.zeros((n + 1, m), logits.dtype)
        of_slopes[1:n] = logits[: n - 1]
        softplus = _softplus(of_slopes.reshape(-1).take(places + _steps(m, 0, 1)))
        return Bins(parts, index, corners, width, height, steepness, softplus, (softplus + SMALLEST) / steepness)

    def _logits_gradient(self, bins: Bins, d_corners: np.ndarray, d_slopes: np.ndarray) -> np.ndarray:
        n, m = self.n_bins, len(bins.index)
        gradient = np.empty((3 * n, m), d_corners.dtype)
        places = bins.index * m + _range(m)
        # A first row for the outermost slopes, which are fixed: those of the last bins end in the next rows, which
        # are written afterwards.
        gradient[:n] = 0
        gradient.reshape(-1)[places + _steps(m, 0, 1)] = d_slopes * -np.expm1(-bins.softplus)
        # A part moves the knots behind it, its own bin's last one among them; in all they are as much as ever.
        _, offsets = _to_knots(n, self.bound, gradient.dtype)
        shared = bins.corners - offsets.take(bins.index + _steps(1, 0, 1))
        summands = np.zeros((2, n + 2, m), gradient.dtype)
        summands.reshape(-1)[places + _steps(m, 0, 1, n + 2, n + 3)] = d_corners.reshape(4, m)
        np.einsum("abm,abm->am", d_corners, shared, out=summands[:, n + 1])
        of_parts = _from_knots(n, self.bound, gradient.dtype) @ summands
        np.multiply(of_parts, bins.parts, out=gradient[n:].reshape(2, n, m))
        return gradient[1:]


def _softplus(logits: np.ndarray) -> np.ndarray:
    """Of logits shifted so that zero gives a slope of one."""
    shifted = logits + _LOGIT_OF_ONE
    return np.maximum(shifted, 0) + np.log1p(np.exp(-np.abs(shifted)))


@functools.lru_cache(maxsize=64)
def _to_knots(n_bins: int, bound: float, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """What the bins' parts are multiplied by, and what is added then, for the knots."""
    matrix = np.tri(n_bins + 1, n_bins, -1) * (2 * bound * (1 - n_bins * SMALLEST))
    return matrix.astype(dtype), (np.arange(n_bins + 1) * (2 * bound * SMALLEST) - bound).astype(dtype)[:, None]


@functools.lru_cache(maxsize=64)
def _from_knots(n_bins: int, bound: float, dtype: np.dtype) -> np.ndarray:
    """What the gradients of all knots, and what is taken from all parts, are multiplied by for those of the parts."""
    matrix, _ = _to_knots(n_bins, bound, np.dtype(np.float64))
    return np.hstack((matrix.T, np.full((n_bins, 1), -1.0))).astype(dtype)


@functools.lru_cache(maxsize=64)
def _range(m: int) -> np.ndarray:
    return np.arange(m)


@functools.lru_cache(maxsize=64)
def _steps(m: int, *rows: int) -> np.ndarray:
    """By how much flat indices grow over so many rows of `m` elements."""
    return np.array(rows)[:, None] * m
