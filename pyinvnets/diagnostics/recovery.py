"""How near a posterior comes to the truth, and how much was learnt."""

from __future__ import annotations

from typing import Any

import numpy as np

from .shapes import rows


def z_score(samples: Any, truths: Any) -> np.ndarray:
    """How many posterior standard deviations the posterior mean lies above the truth. Where the posterior is right and
    nearly Gaussian these are standard Gaussian over many truths: a mean away from 0 is a shift, a variance above 1
    says that posteriors are too narrow.

    Args:
        samples: shape `(n, m, n_features)`, with `n` two or more.
        truths: shape `(m, n_features)`.

    Returns:
        Shape `(m, n_features)`.

    Raises:
        ValueError: unfit shapes, numbers that are not finite, or samples that are all the same.

    Source: Betancourt (2018), «Calibrating model-based inferences and decisions», https://arxiv.org/abs/1803.08393.
    """
    samples, truths = rows("z_score", samples, truths)
    deviations = _varying("z_score", "samples of a feature", samples.std(axis=0, ddof=1) if len(samples) > 1 else None)
    return (samples.mean(axis=0) - truths) / deviations


def contraction(samples: Any, truths: Any) -> np.ndarray:
    """How much narrower the posterior is than the prior: one less the ratio of their variances. Near 1 where the
    observation says much of a feature, near 0 where it says nothing.

    Args:
        samples: shape `(n, m, n_features)`, with `n` two or more.
        truths: shape `(m, n_features)`; they are samples of the prior, and its variance is theirs.

    Returns:
        Shape `(m, n_features)`, below 1.

    Raises:
        ValueError: unfit shapes, numbers that are not finite, or truths that are all the same.

    Source: as `z_score`.
    """
    samples, truths = rows("contraction", samples, truths)
    prior = _varying("contraction", "truths", truths.var(axis=0, ddof=1) if len(truths) > 1 else None)
    posterior = samples.var(axis=0, ddof=1) if len(samples) > 1 else None
    if posterior is None:
        raise ValueError("contraction: expected two samples or more of each posterior, got one")
    return 1 - posterior / prior


def _varying(title: str, name: str, spread: np.ndarray | None) -> np.ndarray:
    if spread is None or not np.all(spread > 0):
        raise ValueError(f"{title}: the {name} must vary")
    return spread
