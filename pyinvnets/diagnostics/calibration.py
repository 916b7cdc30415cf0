"""Ranks of truths among posterior samples, which are uniform where the posterior is right.

A pair of a truth from the prior and its simulated observation is also a pair of an observation and one sample of its
posterior. So whatever orders samples, the truth is as likely to come first among them as last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .shapes import finite, rows

_BINS = 10


@dataclass(frozen=True, eq=False)
class Ranks:
    """Of each truth, how many of its `draws` posterior samples come before it.

    Attributes:
        values: integers from 0 to `draws`, shape `(m,)`, or `(m, n_features)` where each feature has its own.
        draws: number of posterior samples of each truth.
        central: whether a rank in the middle is that of a truth in the middle of the samples, as in simulation-based
            calibration; else low ranks are those of the truths that the smallest regions hold.
    """

    values: np.ndarray
    draws: int
    central: bool

    def p_value(self, bins: int = _BINS) -> np.ndarray:
        """How likely ranks as uneven as these are, or more, where the posterior is right: Pearson's chi-squared test
        of uniformity. The posterior is wrong, at one per cent, where it is below 0.01.

        Args:
            bins: how many, of ranks that follow each other. Fewer see smooth departures better.

        Returns:
            Of each feature, shape `(n_features,)`, or a number of shape `()`.

        Raises:
            ValueError: there are not from two to `draws + 1` bins, or fewer than five truths for each.
        """
        m = len(self.values)
        if not 2 <= bins <= self.draws + 1 or m < 5 * bins:
            raise ValueError(
                f"Ranks.p_value: bins must be from 2 to draws + 1 = {self.draws + 1} and leave five truths of {m} for "
                f"each, got {bins}"
            )
        expected = m * np.bincount(np.arange(self.draws + 1) * bins // (self.draws + 1)) / (self.draws + 1)
        statistics = [
            float(
                (np.square(np.bincount(column * bins // (self.draws + 1), minlength=bins) - expected) / expected).sum()
            )
            for column in self.values.reshape(m, -1).T
        ]
        return np.reshape([_chi_squared_above(value, bins - 1) for value in statistics], self.values.shape[1:])

    def coverage(self, levels: Any) -> np.ndarray:
        """How many of the truths lie in credible regions: as many as these should hold, where the posterior is right;
        fewer where it is too narrow.

        Args:
            levels: the masses of the regions, from 0 to 1.

        Returns:
            Shape `(n_levels,)`, or `(n_levels, n_features)`.

        Raises:
            ValueError: a level is not from 0 to 1.
        """
        levels = np.asarray(levels, float)
        if levels.ndim != 1 or not np.all((levels >= 0) & (levels <= 1)):
            raise ValueError(f"Ranks.coverage: levels must be numbers from 0 to 1 in one axis, got {levels}")
        place = (self.values + 0.5) / (self.draws + 1)
        least = np.abs(2 * place - 1) if self.central else place
        return np.mean(least <= levels.reshape(-1, *(1,) * self.values.ndim), axis=1)

    def calibration_error(self) -> np.ndarray:
        """The mean over all levels of how far the coverage is from them, of each feature: 0 where the posterior is
        right, at most 0.5."""
        levels = np.linspace(0, 1, 101)
        expected = levels.reshape(-1, *(1,) * (self.values.ndim - 1))
        return np.abs(self.coverage(levels) - expected).mean(axis=0)


def sbc(samples: Any, truths: Any) -> Ranks:
    """Simulation-based calibration: of each feature, how many samples lie below the truth.

    Args:
        samples: shape `(n, m, n_features)`; independent ones, else ranks are uneven of themselves.
        truths: shape `(m, n_features)`.

    Returns:
        The ranks, shape `(m, n_features)`.

    Raises:
        ValueError: unfit shapes, or numbers that are not finite.

    Source: Talts et al. (2018), «Validating Bayesian inference algorithms with simulation-based calibration»,
    https://arxiv.org/abs/1804.06788.

    >>> rng = np.random.default_rng(0)
    >>> means = rng.standard_normal((1000, 2))
    >>> ranks = sbc(means + rng.standard_normal((99, 1000, 2)), means + rng.standard_normal((1000, 2)))
    >>> ranks.values.shape, bool(np.all(ranks.p_value() > 0.01))
    ((1000, 2), True)
    """
    samples, truths = rows("sbc", samples, truths)
    return Ranks((samples < truths).sum(axis=0), len(samples), central=True)


def tarp(samples: Any, truths: Any, *, references: Any = None, seed: int | None = None) -> Ranks:
    """Coverage of balls around reference points: how many samples are nearer to one than the truth is.

    Distances are Euclidean, of features in units of the truths' standard deviations. Reference points that have nothing
    to do with the observation lie on every side of it, so a posterior that is shifted one way is hard to see for them;
    one point for all, given as `references`, sees shifts towards it and away from it.

    Args:
        samples: shape `(n, m, n_features)`.
        truths: shape `(m, n_features)`.
        references: shape `(m, n_features)`, or `(n_features,)` for one point; they may depend on the observations, but
            not on the truths. By default they are uniform in the box that the truths fill.
        seed: of the reference points.

    Returns:
        The ranks, shape `(m,)`.

    Raises:
        ValueError: unfit shapes, or numbers that are not finite.

    Source: Lemos et al. (2023), «Sampling-based accuracy testing of posterior estimators for general inference»,
    https://arxiv.org/abs/2302.03026.
    """
    samples, truths = rows("tarp", samples, truths)
    if references is None:
        rng = np.random.default_rng(seed)
        references = rng.uniform(truths.min(axis=0), truths.max(axis=0), truths.shape)
    references = np.asarray(references)
    if references.shape not in (truths.shape, truths.shape[1:]):
        raise ValueError(
            f"tarp: references must have shape {truths.shape}, or {truths.shape[1:]} for one point, got "
            f"{references.shape}"
        )
    finite("tarp", "references", references)
    scale = truths.std(axis=0)
    scale = np.where(scale > 0, scale, 1)

    def distances(points: np.ndarray) -> np.ndarray:
        return np.square((points - references) / scale).sum(axis=-1)

    return Ranks((distances(samples) < distances(truths)).sum(axis=0), len(samples), central=False)


def highest_density(log_prob_of_samples: Any, log_prob_of_truths: Any) -> Ranks:
    """Expected coverage of highest-density regions: how many samples have a higher density than the truth.

    Args:
        log_prob_of_samples: the posterior's log-density, up to a constant for each observation, of samples that were
            drawn from it, shape `(n, m)`, as `sample_and_log_prob(n, C, each=True)` gives it.
        log_prob_of_truths: that of the truths, shape `(m,)`.

    Returns:
        The ranks, shape `(m,)`.

    Raises:
        ValueError: unfit shapes, or numbers that are NaN.

    Source: Hermans et al. (2022), «A trust crisis in simulation-based inference? Your posterior approximations can be
    unfaithful», https://arxiv.org/abs/2110.06581.
    """
    samples, truths = np.asarray(log_prob_of_samples), np.asarray(log_prob_of_truths)
    if samples.ndim != 2 or samples.shape[1:] != truths.shape or not samples.size:
        raise ValueError(
            "highest_density: expected log-densities of samples of shape (n, m) and of truths of shape (m,), got "
            f"{samples.shape} and {truths.shape}"
        )
    if np.isnan(samples).any() or np.isnan(truths).any():
        raise ValueError("highest_density: log-densities must be numbers, not NaN")
    return Ranks((samples > truths).sum(axis=0), len(samples), central=False)


def _chi_squared_above(value: float, degrees: int) -> float:
    """The chance of a larger value of chi-squared; for whole degrees of freedom it is a finite sum."""
    half, odd = value / 2, degrees % 2
    if half == 0:
        return 1.0
    powers = (i + 0.5 * odd for i in range(degrees // 2))
    total = sum(math.exp(-half + power * math.log(half) - math.lgamma(power + 1)) for power in powers)
    return min(1.0, total + (math.erfc(math.sqrt(half)) if odd else 0.0))
