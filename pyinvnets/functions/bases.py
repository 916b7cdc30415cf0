"""Base distributions of latents, beside the standard Gaussian. Rows are samples."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays.scalars import is_real
from .value import _Value


class BaseDistribution(_Value):
    """The density that latents of shape `(n_samples, n_features)` have."""

    def check(self, n_features: int) -> None:
        """Raise ValueError where it is not for so many features."""

    @abstractmethod
    def log_prob(self, Z: np.ndarray) -> np.ndarray:
        """Log-density of each row, in nats, float64."""

    @abstractmethod
    def score(self, Z: np.ndarray) -> np.ndarray:
        """The gradient of `log_prob` in Z, float64."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, n: int, n_features: int) -> np.ndarray:
        """`n` rows, float64."""


@dataclass(frozen=True)
class StudentT(BaseDistribution):
    """Independent Student t distributions: for data with tails heavier than a Gaussian's, which a flow whose maps are
    affine far out cannot make of Gaussian ones.

    Args:
        df: degrees of freedom, above zero; few for heavy tails.

    Raises:
        ValueError: it is not a positive finite number.

    Source: Jaini et al. (2020), «Tails of Lipschitz triangular flows», https://arxiv.org/abs/1907.04481.
    """

    df: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_real(self.df) and math.isfinite(self.df) and self.df > 0):
            raise ValueError(f"StudentT: df must be a positive finite number, got {self.df!r}")

    def log_prob(self, Z: np.ndarray) -> np.ndarray:
        constant = math.lgamma((self.df + 1) / 2) - math.lgamma(self.df / 2) - math.log(self.df * math.pi) / 2
        logs = np.log1p(np.square(Z, dtype=np.float64) / self.df)
        return Z.shape[1] * constant - (self.df + 1) / 2 * logs.sum(axis=1)

    def score(self, Z: np.ndarray) -> np.ndarray:
        Z = Z.astype(np.float64)
        return -(self.df + 1) * Z / (self.df + np.square(Z))

    def sample(self, rng: np.random.Generator, n: int, n_features: int) -> np.ndarray:
        return rng.standard_t(self.df, (n, n_features))


@dataclass(frozen=True)
class GaussianMixture(BaseDistribution):
    """Gaussians around several means: for data of several modes, between which a continuous map of one Gaussian leaves
    bridges. The means stay where they are; the flow brings the data's modes there.

    Args:
        means: a row for each of the Gaussians, `(n_components, n_features)`.
        deviation: their standard deviation, in every direction.

    Raises:
        ValueError: unfit means or deviation.

    Source: Izmailov et al. (2020), «Semi-supervised learning with normalizing flows»,
    https://arxiv.org/abs/1912.13025.
    """

    means: Any
    deviation: float = 1.0

    def __post_init__(self) -> None:
        rows = np.array(self.means, np.float64)
        if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
            raise ValueError(
                f"GaussianMixture: means must be rows (n_components, n_features) of finite numbers, got {self.means!r}"
            )
        object.__setattr__(self, "means", tuple(map(tuple, rows.tolist())))
        super().__post_init__()
        if not (is_real(self.deviation) and math.isfinite(self.deviation) and self.deviation > 0):
            raise ValueError(f"GaussianMixture: deviation must be a positive finite number, got {self.deviation!r}")

    def check(self, n_features: int) -> None:
        if len(self.means[0]) != n_features:
            raise ValueError(
                f"GaussianMixture: expected means with {n_features} feature(s), as the latents have, got "
                f"{len(self.means[0])}"
            )

    def log_prob(self, Z: np.ndarray) -> np.ndarray:
        each, _ = self._components(Z)
        n_features = Z.shape[1]
        constant = n_features * (math.log(2 * math.pi) / 2 + math.log(self.deviation)) + math.log(len(self.means))
        return np.logaddexp.reduce(each, axis=1) - constant

    def score(self, Z: np.ndarray) -> np.ndarray:
        each, differences = self._components(Z)
        weights = np.exp(each - np.logaddexp.reduce(each, axis=1, keepdims=True))
        return -np.einsum("nk,nkd->nd", weights, differences) / self.deviation**2

    def sample(self, rng: np.random.Generator, n: int, n_features: int) -> np.ndarray:
        chosen = np.array(self.means)[rng.integers(len(self.means), size=n)]
        return chosen + self.deviation * rng.standard_normal((n, n_features))

    def _components(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each Gaussian the exponent, and how far rows are from its mean."""
        differences = Z[:, None, :].astype(np.float64) - np.array(self.means)
        return -np.square(differences / self.deviation).sum(axis=2) / 2, differences


BASES = {kind.__name__: kind for kind in (GaussianMixture, StudentT)}
"""The base distributions by name."""
