"""Whether two sets of samples are of one distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from .shapes import finite


def c2st(samples: Any, reference: Any, *, folds: int = 5, seed: int = 1) -> float:
    """Classifier two-sample test: how often a classifier tells samples from those of the reference, on parts that it
    was not trained on. 0.5 is chance, 1 is always.

    The classifier is that of the public benchmark of simulation-based inference, scikit-learn's `MLPClassifier` with
    two layers of ten times as many units as there are features, over features standardised by the reference. With
    fewer samples it learns less, so that numbers can be compared only for like counts.

    Args:
        samples: shape `(n, n_features)`.
        reference: as many features, and for chance to be 0.5 as many rows.
        folds: number of parts, each of which is classified by a classifier trained on the others.
        seed: of the parts and the classifiers.

    Raises:
        ImportError: there is no scikit-learn.
        ValueError: unfit shapes, numbers that are not finite, a reference that does not vary, or fewer samples than
            folds.

    Source: Lopez-Paz and Oquab (2017), «Revisiting classifier two-sample tests», https://arxiv.org/abs/1610.06545;
    Lueckmann et al. (2021), «Benchmarking simulation-based inference», https://arxiv.org/abs/2101.04653.
    """
    try:
        from sklearn.model_selection import KFold, cross_val_score
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        raise ImportError("c2st needs scikit-learn; write pip install 'pyinvnets[diagnostics]'") from None

    samples, reference = (
        finite("c2st", "samples", np.asarray(samples)),
        finite("c2st", "reference", np.asarray(reference)),
    )
    if samples.ndim != 2 or reference.ndim != 2 or samples.shape[1] != reference.shape[1]:
        raise ValueError(
            f"c2st: expected samples and a reference of shape (n, n_features), got {samples.shape} and "
            f"{reference.shape}"
        )
    if min(len(samples), len(reference)) < folds:
        raise ValueError(f"c2st: expected at least folds = {folds} rows, got {len(samples)} and {len(reference)}")
    mean, deviation = reference.mean(axis=0), reference.std(axis=0, ddof=1)
    if not np.all(deviation > 0):
        raise ValueError("c2st: each feature of the reference must vary")
    rows = (np.concatenate([reference, samples]) - mean) / deviation
    labels = np.repeat([0, 1], [len(reference), len(samples)])
    units = 10 * rows.shape[1]
    classifier = MLPClassifier(hidden_layer_sizes=(units, units), max_iter=10_000, random_state=seed)
    parts = KFold(folds, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier, rows, labels, cv=parts).mean())
