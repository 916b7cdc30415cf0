"""Features and conditions on scales of one, without what of the features is linear in the condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Standardisation:
    """`C' = (C - centre) / spread` and `X' = (X - intercept - C' slope) / scale`.

    A flow that is given the residuals of a linear regression has no linear relation to learn, which its coupling layers
    can only piece together. What never varies keeps its scale.

    Attributes:
        centre, spread: of the condition, shape `(n_cond,)`.
        slope: shape `(n_cond, n_features)`.
        intercept, scale: of the features, shape `(n_features,)`.
    """

    centre: np.ndarray
    spread: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, C: np.ndarray) -> Standardisation:
        """That of data, with a ridge regression, whose penalty is small where the linear relation is strong and the
        samples are many.

        Source: Hoerl, Kennard and Baldwin (1975), «Ridge regression: some simulations», for the penalty.
        """
        X, C = X.astype(np.float64), C.astype(np.float64)
        centre, spread, intercept = C.mean(axis=0), _positive(C.std(axis=0)), X.mean(axis=0)
        C = (C - centre) / spread
        finite = np.isfinite(C).all() and np.isfinite(X).all()
        slope = _ridge(C, X - intercept) if finite else np.full((C.shape[1], X.shape[1]), np.nan)
        return cls(centre, spread, slope, intercept, _positive((X - intercept - C @ slope).std(axis=0)))

    @classmethod
    def loaded(cls, arrays: dict[str, Any]) -> Standardisation:
        """What `arrays` gave, read from a file.

        Raises:
            TypeError, ValueError: it does not describe one.
        """
        read = cls(**{name: np.array(values, np.float64) for name, values in arrays.items()})
        n_cond, n_features = read.slope.shape
        shapes = [read.centre.shape, read.spread.shape, read.intercept.shape, read.scale.shape]
        if shapes != [(n_cond,), (n_cond,), (n_features,), (n_features,)]:
            raise ValueError(
                f"its standardisation has arrays of shapes that do not fit, {shapes} and {read.slope.shape}"
            )
        if not all(np.isfinite(values).all() for values in vars(read).values()):
            raise ValueError("its standardisation has numbers that are not finite")
        if not (np.all(read.scale > 0) and np.all(read.spread > 0)):
            raise ValueError("its standardisation has scales that are not positive")
        return read

    def arrays(self) -> dict[str, Any]:
        """As lists, for a file."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @property
    def finite(self) -> bool:
        return all(np.isfinite(values).all() for values in vars(self).values())

    @property
    def logdet(self) -> float:
        """Of every row."""
        return -float(np.log(self.scale).sum())

    def condition(self, C: np.ndarray) -> np.ndarray:
        return (C - self.centre) / self.spread

    def features(self, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        """Of rows and conditions as they came, one for each row or one for all."""
        return (X - self._expected(C)) / self.scale

    def original(self, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        """The inverse of `features`; `X` may have an axis of samples before that of conditions."""
        return X * self.scale + self._expected(C)

    def _expected(self, C: np.ndarray) -> np.ndarray:
        return self.intercept + self.condition(C) @ self.slope


def _ridge(C: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The slope of centred data, shape `(n_cond, n_features)`."""
    left, values, right = np.linalg.svd(C, full_matrices=False)
    kept = values > 1e-10 * max(values.max(), 1e-300)
    left, values, right = left[:, kept], values[kept, None], right[kept]
    moments = left.T @ X
    rank, free = len(values), len(C) - len(values) - 1
    penalty = np.full(X.shape[1], float(rank))
    if free > 0:
        variance = np.square(X - left @ moments).sum(axis=0) / free
        size = np.square(moments / values).sum(axis=0)
        penalty = rank * np.divide(variance, size, out=np.zeros_like(size), where=size > 0)
    return right.T @ (moments * values / (values**2 + penalty))


def _positive(deviations: np.ndarray) -> np.ndarray:
    return np.where(deviations > 0, deviations, 1.0)
