"""Rows as they are given, and rows as a network has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.cuda_interface import to_numpy
from .bounds import Bounds
from .standardisation import Standardisation

NODES: np.ndarray = np.linspace(-6, 6, 121)
"""Where the noise beside a single feature is summed over, in standard deviations."""


class Features:
    """First bounds are taken off, then features and condition are standardised; a single feature has noise beside it.

    Attributes:
        n_features: of the rows as they are given.
        bounds: of these.
        standardisation: `None` where there is none.
    """

    def __init__(self, n_features: int, bounds: Bounds) -> None:
        self.n_features, self.bounds = n_features, bounds
        self.standardisation: Standardisation | None = None

    @property
    def changed(self) -> bool:
        """Whether the network's features are not those that are given, but for noise."""
        return bool(self.bounds) or self.standardisation is not None

    def standardise(self, X: np.ndarray, C: np.ndarray) -> bool:
        """Find the standardisation of data, and say whether there is one: not of what is not finite."""
        found = Standardisation.of(self.bounds.free(X)[0], C)
        if found.finite:
            self.standardisation = found
        return found.finite

    def condition(self, C: np.ndarray | None) -> np.ndarray | None:
        """As the network has it, of its dtype."""
        return C if C is None or self.standardisation is None else self.standardisation.condition(C).astype(C.dtype)

    def of_network(self, X: np.ndarray, C: np.ndarray | None) -> tuple[np.ndarray, Any]:
        """Rows as the network has them, of their dtype, and the log-determinant of each, or of all."""
        R, logdet = self.bounds.free(X) if self.bounds else (X, 0.0)
        if self.standardisation is not None and C is not None:
            R, logdet = self.standardisation.features(R, C), logdet + self.standardisation.logdet
        return R.astype(X.dtype, copy=False), logdet

    def of_data(self, R: np.ndarray, C: np.ndarray | None) -> np.ndarray:
        """The inverse of `of_network`, of any number of axes; noise is left out."""
        X = R[..., : self.n_features]
        if not self.changed:
            return X
        X = to_numpy(X)
        if self.standardisation is not None and C is not None:
            X = self.standardisation.original(X, C).astype(R.dtype)
        return self.bounds.bounded(X) if self.bounds else X

    def with_noise(self, R: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """For training: a single feature with noise beside it, others as they are."""
        if self.n_features > 1:
            return R
        return np.hstack([R, rng.standard_normal(R.shape).astype(R.dtype)])

    def over_noise(self, log_prob: Any, R: np.ndarray) -> np.ndarray:
        """The density of a single feature, from that of pairs: the integral over its noise, as a sum over a grid."""
        if self.n_features > 1:
            return log_prob(R)
        total = np.full(len(R), -np.inf)
        for node in NODES:
            pairs = np.column_stack([R, np.full(len(R), node, R.dtype)])
            np.logaddexp(total, to_numpy(log_prob(pairs)), out=total)
        return (total + np.log(NODES[1] - NODES[0])).astype(R.dtype)
