"""Posterior samples as ArviZ has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def to_inference_data(
    samples: Any,
    *,
    names: Sequence[str] | None = None,
    truths: Any = None,
    observations: Any = None,
    log_prob: Any = None,
) -> Any:
    """Posterior samples as ArviZ's `InferenceData`, of xarray data sets, for its plots, summaries and files.

    Args:
        samples: of one observation, shape `(n, n_features)`, or of several, `(n, m, n_features)`.
        names: of the features, by default `x1`, `x2` and so on; each is a variable.
        truths: shape `(n_features,)` or `(m, n_features)`; they become the group `constant_data`.
        observations: the condition, `(n_cond,)` or `(m, n_cond)`; it becomes the group `observed_data`.
        log_prob: log-density of each sample, shape `(n,)` or `(n, m)`, which becomes `lp` in `sample_stats`.

    Returns:
        An `InferenceData`. Samples are independent: they have one chain, and with several observations an axis
        `observation`.

    Raises:
        ImportError: there is no ArviZ.
        ValueError: unfit shapes or names.
    """
    try:
        import arviz
    except ImportError:
        raise ImportError("to_inference_data needs ArviZ; write pip install 'pyinvnets[diagnostics]'") from None

    samples = np.asarray(samples)
    if samples.ndim not in (2, 3):
        raise ValueError(
            f"to_inference_data: samples must have shape (n, n_features) or (n, m, n_features), got {samples.shape}"
        )
    names = [f"x{i}" for i in range(1, samples.shape[-1] + 1)] if names is None else list(names)
    if len(set(names)) != samples.shape[-1]:
        raise ValueError(f"to_inference_data: expected {samples.shape[-1]} different names, got {names}")
    several = samples.shape[1:-1]
    axes = ["observation"] if several else []
    groups: dict[str, Any] = {"posterior": _by_name(names, samples[None])}
    dims = dict.fromkeys(names, axes)
    if truths is not None:
        groups["constant_data"] = _by_name(names, _shaped("truths", truths, (*several, len(names))))
    if log_prob is not None:
        groups["sample_stats"] = {"lp": _shaped("log_prob", log_prob, samples.shape[:-1])[None]}
        dims["lp"] = axes
    if observations is not None:
        observations = np.asarray(observations)
        if observations.ndim != len(several) + 1 or observations.shape[:-1] != several:
            raise ValueError(
                f"to_inference_data: observations must have shape {(*several, 'n_cond')}, got {observations.shape}"
            )
        groups["observed_data"] = {"condition": observations}
        dims["condition"] = [*axes, "condition_feature"]
    return arviz.from_dict(**groups, dims=dims)


def _by_name(names: list[str], array: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[..., i] for i, name in enumerate(names)}


def _shaped(name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(given)
    if array.shape != shape:
        raise ValueError(f"to_inference_data: {name} must have shape {shape}, got {array.shape}")
    return array
