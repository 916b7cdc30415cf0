"""Plots of flows: training, samples, latents, densities. Each draws on `ax`, a new figure where it is `None`, and
returns it.

Two-dimensional samples have Julia's shape, `(1, 1, 2, n_samples)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TARGET, GENERATED, LATENT = "tab:blue", "tab:orange", "black"


def target_samples(X: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """The first 400 samples of the target distribution."""
    ax = _axes(ax)
    _scatter(ax, X, 400, TARGET, r"$x \sim p_X(x)$")
    return _labelled(ax, "x", "Target samples")


def latent_samples(Z: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Latent samples, on square axes."""
    ax = _axes(ax)
    _scatter(ax, Z, Z.shape[-1], LATENT, r"$z \sim p_Z(z)$")
    ax.set(xlim=(-5, 5), ylim=(-5, 5), aspect=1)
    return _labelled(ax, "z", "Latent samples")


def generated_samples(X: np.ndarray, X_new: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """The first 400 samples of the target, and of the flow over them."""
    ax = _axes(ax)
    _scatter(ax, X, 400, TARGET, r"$x \sim p_X(x)$")
    _scatter(ax, X_new, 400, GENERATED, r"$x \sim p_\theta(x) = G_\theta^{-1}(z)$")
    return _labelled(ax, "x", "Generated and target samples")


def latent_to_data(Z: np.ndarray, X: np.ndarray, *, count: int = 150, ax: Axes | None = None) -> Axes:
    """Lines from latent points to the data points that the inverse makes of them."""
    from matplotlib.collections import LineCollection

    ax = _axes(ax)
    start, end = Z[0, 0, :, :count].T, X[0, 0, :, :count].T
    ax.add_collection(LineCollection(np.stack((start, end), axis=1), colors="black", alpha=0.25, linewidths=0.4))
    ax.scatter(*start.T, s=14, alpha=0.5, color=LATENT, linewidths=0, label=r"$z$")
    ax.scatter(*end.T, s=14, alpha=0.7, color=GENERATED, linewidths=0, label=r"$x = G_\theta^{-1}(z)$")
    ax.set(xlabel="First dimension", ylabel="Second dimension", title=r"From latent $z$ to $x = G_\theta^{-1}(z)$")
    ax.legend(loc="upper center")
    return ax


def density_contours(
    log_prob: Callable[[np.ndarray], np.ndarray],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    *,
    masses: Sequence[float] = (0.393, 0.865, 0.989),
    filled: bool = True,
    color: str = TARGET,
    resolution: int = 200,
    dtype: type = np.float32,
    ax: Axes | None = None,
) -> Axes:
    """The smallest regions that hold given parts of a density's mass, drawn from its values on a grid.

    Args:
        log_prob: the log-density, but for a constant, of points of shape `(1, 1, 2, n)`, such as `G.log_prob`.
        xlim, ylim: the grid's ends; the density's mass outside counts as none.
        masses: the parts, by default those of a Gaussian within 1, 2 and 3 standard deviations.
        filled: whether to fill the regions rather than draw their edges.
        resolution: points along each axis of the grid.
        dtype: of the points.

    Raises:
        ValueError: a part is not between 0 and 1.
    """
    if not all(0 < mass < 1 for mass in masses):
        raise ValueError(f"density_contours: masses must be between 0 and 1, got {tuple(masses)}")
    ax = _axes(ax)
    x, y = (np.linspace(*limits, resolution, dtype=dtype) for limits in (xlim, ylim))
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2, 1, 1).T
    values = np.asarray(log_prob(points), np.float64)
    density = np.exp(values - values.max())
    falling = np.sort(density)[::-1]
    held = np.cumsum(falling) / falling.sum()
    levels = sorted(falling[np.searchsorted(held, sorted(masses))])
    grid = density.reshape(resolution, resolution)
    if filled:
        for level in levels:
            ax.contourf(x, y, grid, levels=[level, 2], colors=[color], alpha=0.3)
    else:
        ax.contour(x, y, grid, levels=levels, colors=[color], linewidths=1)
    ax.set(xlim=xlim, ylim=ylim, xlabel="$x_1$", ylabel="$x_2$", title="Density")
    return ax


def latent_qq(Z: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Quantiles of latents against those of the Gaussian: the diagonal where the flow has learned its data.

    The grey band is where 95 % of each quantile's values lie if the latents are Gaussian (by the normal approximation
    of order statistics).

    Args:
        Z: latents, shape `(..., n_samples)`: a line for each element of a sample, with a legend of up to six. A flat
            vector is taken as one line.
    """
    ax = _axes(ax)
    samples = np.asarray(Z, np.float64).reshape(-1, Z.shape[-1], order="F")
    n = samples.shape[-1]
    points = (np.arange(n) + 0.5) / n
    gaussian = NormalDist()
    expected = np.array([gaussian.inv_cdf(p) for p in points])
    error = 1.96 * np.sqrt(points * (1 - points) / n) / (np.exp(-(expected**2) / 2) / math.sqrt(2 * math.pi))
    ax.fill_between(expected, expected - error, expected + error, color="0.85", label="95 % of Gaussian latents")
    ax.plot(expected, expected, color="0.4", linewidth=0.8)
    few = len(samples) <= 6
    for i, line in enumerate(np.sort(samples, axis=-1), 1):
        ax.plot(
            expected, line, linewidth=1, alpha=1 if few else 0.4, label=f"$z_{i}$" if few and len(samples) > 1 else None
        )
    ax.set(xlabel="Gaussian quantiles", ylabel="Latent quantiles", title="Q–Q plot of the latent")
    ax.legend(loc="upper left")
    return ax


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
    ax = _axes(ax)
    edges = np.arange(bins + 1) * (draws + 1) / bins
    expected = len(ranks) / bins
    error = NormalDist().inv_cdf(0.995) * math.sqrt(expected * (1 - 1 / bins))
    ax.axhspan(expected - error, expected + error, color="0.85", label="99 % of calibrated")
    ax.hist(ranks + 0.5, bins=edges, color=TARGET, alpha=0.7, edgecolor="white")
    ax.axhline(expected, color="0.4", linewidth=0.8)
    ax.set(xlim=(0, draws + 1), xlabel=f"Rank among {draws} posterior samples", ylabel="Observations")
    ax.set_title("Calibration")
    ax.legend(loc="lower center")
    return ax


def training_log(
    l2: np.ndarray, lgdet: np.ndarray, *, gaussian: float, best: float | None = None, axes: list[Axes] | None = None
) -> list[Axes]:
    """Three panels over the updates: the l2 term, the log-determinant, and the objective `l2 - lgdet`.

    Args:
        l2, lgdet: a value for each update.
        gaussian: the l2 term of Gaussian noise, half the number of dimensions; drawn as a line.
        best: the smallest possible objective, drawn as a line where it is known.
        axes: three axes to draw on.
    """
    if axes is None:
        import matplotlib.pyplot as plt

        axes = list(plt.subplots(3, 1, sharex=True)[1])
    updates = np.arange(1, len(l2) + 1)
    curves = ((l2, "L2 norm"), (lgdet, "Log-determinant"), (np.subtract(l2, lgdet), "Full objective"))
    for ax, (values, label) in zip(axes, curves, strict=True):
        ax.plot(updates, values, color="black", linewidth=0.8)
        ax.set_ylabel(label)
    axes[0].axhline(gaussian, color="tab:red", linestyle="--", label="Gaussian noise")
    axes[0].legend()
    if best is not None:
        axes[2].axhline(best, color="tab:green", linestyle="--", label="Best possible")
        axes[2].legend()
    axes[2].set_xlabel("Parameter update")
    axes[0].set_title("Training log")
    return axes


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def _scatter(ax: Axes, X: np.ndarray, count: int, color: str, label: str) -> None:
    ax.scatter(X[0, 0, 0, :count], X[0, 0, 1, :count], s=16, alpha=0.5, color=color, linewidths=0, label=label)


def _labelled(ax: Axes, letter: str, title: str) -> Axes:
    ax.set(xlabel=f"${letter}_1$", ylabel=f"${letter}_2$", title=title)
    ax.legend(loc="upper center")
    return ax
