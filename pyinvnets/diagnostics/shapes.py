"""Samples and truths that belong together."""

from __future__ import annotations

from typing import Any

import numpy as np


def rows(title: str, samples: Any, truths: Any) -> tuple[np.ndarray, np.ndarray]:
    """Samples of shape `(n, m, n_features)` and truths of shape `(m, n_features)`.

    Raises:
        ValueError: they have other shapes, or numbers that are not finite.
    """
    samples, truths = np.asarray(samples), np.asarray(truths)
    if samples.ndim != 3 or samples.shape[1:] != truths.shape or not samples.size:
        raise ValueError(
            f"{title}: expected samples of shape (n, m, n_features) and truths of shape (m, n_features), got "
            f"{samples.shape} and {truths.shape}; VectorFlow.sample(n, C, each=True) gives such samples"
        )
    return finite(title, "samples", samples), finite(title, "truths", truths)


def images(title: str, samples: Any, truths: Any) -> tuple[np.ndarray, np.ndarray]:
    """Samples of shape `(nx, ny, n_channels, m, n)`, two or more, and truths of shape `(nx, ny, n_channels, m)`.

    Raises:
        ValueError: they have other shapes, or numbers that are not finite.
    """
    samples, truths = np.asarray(samples), np.asarray(truths)
    if samples.ndim != 5 or samples.shape[:-1] != truths.shape or not samples.size or samples.shape[-1] < 2:
        raise ValueError(
            f"{title}: expected two samples or more of each image, of shape (nx, ny, n_channels, m, n), and truths of "
            f"shape (nx, ny, n_channels, m), got {samples.shape} and {truths.shape}; sample(n, C, each=True) of a "
            "network gives such samples"
        )
    return finite(title, "samples", samples), finite(title, "truths", truths)


def finite(title: str, name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise ValueError(f"{title}: {name} must be finite numbers")
    return array
