"""Features with bounds, and the line that a flow has them on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays.scalars import is_real

Interval = tuple[float, float]


class Bounds:
    """A bijection of each feature to the line: of an interval the logit, of a half-line the logarithm of the distance
    to its end, of the line itself nothing.

    Args:
        title: whose argument this is.
        bounds: for each feature `None` or a pair `(low, high)`, in which `None` and infinities are no bound; one such
            pair is for all features; `None` is for no bounds at all.
        n_features: how many.

    Attributes:
        intervals: `(low, high)` of each feature.

    Raises:
        ValueError: unfit bounds.
    """

    def __init__(self, title: str, bounds: Any, n_features: int) -> None:
        if bounds is None or _is_pair(bounds):
            bounds = [bounds] * n_features
        if not isinstance(bounds, (list, tuple)) or len(bounds) != n_features:
            raise ValueError(
                f"{title}: bounds must be a pair (low, high) for all {n_features} feature(s), or one for each, got "
                f"{bounds!r}"
            )
        self.intervals = tuple(_interval(title, pair) for pair in bounds)
        self.low, self.high = np.array(self.intervals).T
        self._lower, self._upper = np.isfinite(self.low), np.isfinite(self.high)

    def __bool__(self) -> bool:
        return bool(np.any(self._lower | self._upper))

    @property
    def arguments(self) -> tuple[tuple[float | None, float | None] | None, ...] | None:
        """As they are given, with `None` where there is no bound."""
        if not self:
            return None
        pairs = (tuple(end if math.isfinite(end) else None for end in pair) for pair in self.intervals)
        return tuple(None if pair == (None, None) else pair for pair in pairs)  # type: ignore[misc]

    def hold(self, X: np.ndarray) -> np.ndarray:
        """Which rows lie strictly within all bounds."""
        return np.all((self.low < X) & (self.high > X), axis=1)

    def check(self, title: str, X: np.ndarray) -> None:
        """Raise ValueError where a row does not lie within the bounds; what is not finite is left to others."""
        outside = np.flatnonzero(~self.hold(X) & np.isfinite(X).all(axis=1))
        if len(outside):
            row = outside[0]
            feature = int(np.argmax(~((X[row] > self.low) & (X[row] < self.high))))
            raise ValueError(
                f"{title}: feature {feature + 1} of row {row + 1} is {X[row, feature]}, expected all data strictly "
                f"within its bounds {self.intervals[feature]}"
            )

    def free(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows on the line, in float64, and the log-determinant of each."""
        U, logdet = X.astype(np.float64), np.zeros(len(X))
        for i, (lower, upper) in enumerate(zip(self._lower, self._upper, strict=True)):
            below, above = U[:, i] - self.low[i], self.high[i] - U[:, i]
            if lower and upper:
                logdet += math.log(self.high[i] - self.low[i]) - np.log(below) - np.log(above)
                U[:, i] = np.log(below) - np.log(above)
            elif lower:
                U[:, i] = np.log(below)
                logdet -= U[:, i]
            elif upper:
                U[:, i] = -np.log(above)
                logdet += U[:, i]
        return U, logdet

    def bounded(self, U: np.ndarray) -> np.ndarray:
        """The inverse, of any number of axes before that of features; never a bound itself."""
        X, dtype = U.astype(np.float64), U.dtype
        for i, (lower, upper) in enumerate(zip(self._lower, self._upper, strict=True)):
            u = X[..., i]
            with np.errstate(over="ignore"):
                if lower and upper:
                    X[..., i] = self.low[i] + (self.high[i] - self.low[i]) / (1 + np.exp(-u))
                elif lower:
                    X[..., i] = self.low[i] + np.exp(u)
                elif upper:
                    X[..., i] = self.high[i] - np.exp(-u)
        low, high = self.low.astype(dtype), self.high.astype(dtype)
        infinity = dtype.type(np.inf)
        return np.clip(X.astype(dtype), np.nextafter(low, infinity), np.nextafter(high, -infinity))


def _is_pair(given: Any) -> bool:
    return (
        isinstance(given, (list, tuple))
        and len(given) == 2
        and all(end is None or is_real(end) for end in given)
        and any(is_real(end) for end in given)
    )


def _interval(title: str, pair: Any) -> Interval:
    if pair is None:
        return -math.inf, math.inf
    ends = tuple(pair) if isinstance(pair, (list, tuple)) and len(pair) == 2 else (math.nan, math.nan)
    if not all(end is None or is_real(end) for end in ends):
        ends = (math.nan, math.nan)
    low, high = -math.inf if ends[0] is None else float(ends[0]), math.inf if ends[1] is None else float(ends[1])
    if not low < high or low == math.inf or high == -math.inf:
        raise ValueError(
            f"{title}: bounds of a feature must be None or a pair (low, high), low below high, got {pair!r}"
        )
    return low, high
