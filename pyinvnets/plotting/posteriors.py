"""Posteriors: their calibration, what was learnt, and what they look like beside the truth and the exact ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .axes import GENERATED, TARGET, axes_of
from .regions import MASSES, draw_regions, smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID = 100


class Covers(Protocol):
    """The ranks of `pyinvnets.diagnostics`."""

    values: np.ndarray

    def coverage(self, levels: Any) -> np.ndarray: ...


def rank_histogram(ranks: np.ndarray, draws: int, *, bins: int = 20, ax: Axes | None = None) -> Axes:
    """How often the truth had which rank among posterior samples: flat where a posterior is calibrated.

    The grey band is where 99 % of each bar's heights lie if the ranks are uniform.

    Args:
        ranks: how many of its posterior samples lie below the truth, for each observation; integers of any shape.
        draws: the number of posterior samples. There are `draws + 1` ranks, a multiple of `bins`.

    Raises:
        ValueError: a rank is not from 0 to `draws`, or the ranks do not fall into equal bins.

    Source: Talts et al. (2018), «Validating Bayesian inference algorithms with simulation-based calibration»,
    https://arxiv.org/abs/1804.06788.
    """
    ranks = np.ravel(ranks)
    if (draws + 1) % bins:
        raise ValueError(
            f"rank_histogram: draws + 1 must be a multiple of bins = {bins}, such as draws={5 * bins - 1}, got "
            f"draws={draws}"
        )
    if ranks.min() < 0 or ranks.max() > draws:
        raise ValueError(f"rank_histogram: ranks must be from 0 to draws = {draws}")
    ax = axes_of(ax)
    edges = np.arange(bins + 1) * (draws + 1) / bins
    expected = len(ranks) / bins
    error = NormalDist().inv_cdf(0.995) * math.sqrt(expected * (1 - 1 / bins))
    ax.axhspan(expected - error, expected + error, color="0.85", label="99 % of calibrated")
    ax.hist(ranks + 0.5, bins=list(edges), color=TARGET, alpha=0.7, edgecolor="white")
    ax.axhline(expected, color="0.4", linewidth=0.8)
    ax.set(xlim=(0, draws + 1), xlabel=f"Rank among {draws} posterior samples", ylabel="Observations")
    ax.set_title("Calibration")
    ax.legend(loc="lower center")
    return ax


def coverage(
    ranks: Covers | Mapping[str, Covers], *, names: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """How many truths lie in credible regions of each mass: the diagonal where a posterior is right, below it where it
    is too narrow.

    The grey band is where 99 % of the values at each level lie if the posterior is right.

    Args:
        ranks: those of `diagnostics.sbc`, `tarp` or `highest_density`, or several of them by their label.
        names: of the features, where ranks have several; by default `x1`, `x2` and so on.

    Source: Hermans et al. (2022), https://arxiv.org/abs/2110.06581.
    """
    ax = axes_of(ax)
    several = ranks if isinstance(ranks, Mapping) else {"": ranks}
    levels: np.ndarray = np.linspace(0, 1, 101)
    least = min(len(one.values) for one in several.values())
    error = NormalDist().inv_cdf(0.995) * np.sqrt(levels * (1 - levels) / least)
    ax.fill_between(levels, levels - error, levels + error, color="0.85", linewidth=0, label="99 % of calibrated")
    ax.plot(levels, levels, color="0.4", linewidth=0.8)
    for label, one in several.items():
        lines = one.coverage(levels).reshape(len(levels), -1).T
        features = names or [f"$x_{{{i}}}$" for i in range(1, len(lines) + 1)]
        for line, feature in zip(lines, features, strict=True):
            words = [label, feature if one.values.ndim > 1 else ""]
            ax.plot(levels, line, linewidth=1.2, label=" ".join(filter(None, words)) or "this posterior")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect=1, xlabel="Mass of the region", ylabel="Truths in it", title="Coverage")
    ax.legend(loc="upper left", fontsize="small")
    return ax


def recovery(
    z_score: np.ndarray, contraction: np.ndarray, *, names: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Each truth's z-score over how much its posterior contracted: right posteriors that have learnt much lie at the
    right, around 0 and for the most part between -2 and 2.

    Args:
        z_score, contraction: those of `pyinvnets.diagnostics`, shape `(m, n_features)`.
        names: of the features, by default `x1`, `x2` and so on.

    Source: Betancourt (2018), https://arxiv.org/abs/1803.08393; Schad et al. (2021), https://arxiv.org/abs/1904.12765.
    """
    z_score, contraction = np.atleast_2d(z_score), np.atleast_2d(contraction)
    ax = axes_of(ax)
    ax.axhspan(-2, 2, color="0.92")
    ax.axhline(0, color="0.4", linewidth=0.8)
    names = names or [f"$x_{{{i}}}$" for i in range(1, z_score.shape[1] + 1)]
    for name, z, gained in zip(names, z_score.T, contraction.T, strict=True):
        ax.scatter(gained, z, s=10, alpha=0.5, linewidths=0, label=name)
    reach = max(4.0, 1.1 * float(np.abs(z_score).max()))
    low = min(0.0, float(contraction.min()) - 0.05)
    ax.set(xlim=(low, 1.05), ylim=(-reach, reach), xlabel="Posterior contraction", ylabel="Posterior z-score")
    ax.set_title("Recovery of the truth")
    ax.legend(loc="upper left", fontsize="small")
    return ax


def two_sample(scores: Mapping[str, Sequence[float]], *, ax: Axes | None = None) -> Axes:
    """Scores of the classifier two-sample test, a dot for each observation and a bar at their mean. 0.5, the line, is
    that of exact posteriors.

    Args:
        scores: by its label, what `diagnostics.c2st` gave for one observation or more.
    """
    ax = axes_of(ax)
    ax.axhline(0.5, color="0.4", linewidth=0.8)
    for i, values in enumerate(scores.values()):
        ax.scatter(np.full(len(values), i), values, s=16, alpha=0.5, color=TARGET, linewidths=0)
        ax.hlines(np.mean(values), i - 0.3, i + 0.3, color=TARGET)
    ax.set_xticks(range(len(scores)), list(scores))
    ax.set(ylim=(0.45, 1.02), xlim=(-0.6, len(scores) - 0.4), ylabel="C2ST", title="Classifier two-sample test")
    return ax


def corner(
    samples: np.ndarray,
    *,
    truth: np.ndarray | None = None,
    exact: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    masses: Sequence[float] = MASSES,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """A posterior's features one by one and two by two: histograms, and the smallest regions that hold given parts of
    the mass, filled, with lines at the truth and the exact posterior's regions as lines.

    Regions are those of samples smoothed by a Gaussian of Scott's bandwidth, which widens sharp edges.

    Args:
        samples: shape `(n, n_features)`.
        truth: shape `(n_features,)`.
        exact: samples of the exact posterior, `(n_exact, n_features)`.
        names: of the features, by default `x1`, `x2` and so on.
        masses: the parts, by default those of a Gaussian within 1, 2 and 3 standard deviations.
        axes: axes of shape `(n_features, n_features)`.

    Returns:
        The axes; those above the diagonal are hidden.

    Raises:
        ValueError: unfit shapes.
    """
    samples = np.asarray(samples)
    if samples.ndim != 2 or len(samples) < 2:
        raise ValueError(f"corner: samples must have shape (n, n_features), with two or more, got {samples.shape}")
    count = samples.shape[1]
    if truth is not None and np.shape(truth) != (count,):
        raise ValueError(f"corner: truth must have shape ({count},), got {np.shape(truth)}")
    if exact is not None and np.shape(exact)[1:] != (count,):
        raise ValueError(f"corner: exact must have shape (n_exact, {count}), got {np.shape(exact)}")
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(count, count, figsize=(2 * count + 0.6,) * 2, squeeze=False, layout="constrained")[1]
    sets = [(samples, TARGET, "posterior")] + ([] if exact is None else [(np.asarray(exact), "black", "exact")])
    names = names or [f"$x_{{{i}}}$" for i in range(1, count + 1)]
    limits = [_limits([values[:, i] for values, *_ in sets], None if truth is None else truth[i]) for i in range(count)]
    for row in range(count):
        for column in range(count):
            ax = axes[row, column]
            if column > row:
                ax.set_axis_off()
                continue
            if column == row:
                _histogram(ax, [(values[:, row], *words) for values, *words in sets], limits[row])
            else:
                for values, color, _ in sets:
                    x, y, density = smoothed(values[:, [column, row]], limits[column], limits[row], _GRID)
                    draw_regions(ax, x, y, density, masses, filled=color == TARGET, color=color)
                ax.set(ylim=limits[row])
            if truth is not None:
                _mark(ax, truth[column], truth[row] if column < row else None)
            ax.set(xlim=limits[column], xlabel=names[column], ylabel=names[row] if column < row else "")
            ax.label_outer()
    return axes


def _limits(columns: Sequence[np.ndarray], truth: float | None) -> tuple[float, float]:
    ends = [float(np.quantile(column, q)) for column in columns for q in (0.001, 0.999)]
    ends += [] if truth is None else [float(truth)]
    margin = 0.08 * (max(ends) - min(ends)) or 0.5
    return min(ends) - margin, max(ends) + margin


def _histogram(ax: Axes, sets: Sequence[tuple], limits: tuple[float, float]) -> None:
    for values, color, label in sets:
        filled = {"histtype": "stepfilled", "alpha": 0.5} if color == TARGET else {"histtype": "step"}
        ax.hist(values, bins=40, range=limits, density=True, color=color, label=label, **filled)
    ax.set_yticks([])
    if len(sets) > 1:
        ax.legend(fontsize="x-small", loc="upper right")


def _mark(ax: Axes, x: float, y: float | None) -> None:
    ax.axvline(x, color=GENERATED, linewidth=1)
    if y is not None:
        ax.axhline(y, color=GENERATED, linewidth=1)
        ax.plot(x, y, "s", color=GENERATED, markersize=4)
