"""Training, samples, latents and densities."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from .axes import GENERATED, LATENT, TARGET, axes_of
from .regions import MASSES, draw_regions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes


def target_samples(X: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """The first 400 samples of the target distribution."""
    ax = axes_of(ax)
    _scatter(ax, X, 400, TARGET, r"$x \sim p_X(x)$")
    return _labelled(ax, "x", "Target samples")


def latent_samples(Z: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Latent samples, on square axes."""
    ax = axes_of(ax)
    _scatter(ax, Z, None, LATENT, r"$z \sim p_Z(z)$")
    ax.set(xlim=(-5, 5), ylim=(-5, 5), aspect=1)
    return _labelled(ax, "z", "Latent samples")


def generated_samples(X: np.ndarray, X_new: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """The first 400 samples of the target, and of the flow over them."""
    ax = axes_of(ax)
    _scatter(ax, X, 400, TARGET, r"$x \sim p_X(x)$")
    _scatter(ax, X_new, 400, GENERATED, r"$x \sim p_\theta(x) = G_\theta^{-1}(z)$")
    return _labelled(ax, "x", "Generated and target samples")


def latent_to_data(Z: np.ndarray, X: np.ndarray, *, count: int = 150, ax: Axes | None = None) -> Axes:
    """Lines from latent points to the data points that the inverse makes of them."""
    from matplotlib.collections import LineCollection

    ax = axes_of(ax)
    start, end = _points(Z)[:count], _points(X)[:count]
    ax.add_collection(LineCollection(list(np.stack((start, end), axis=1)), colors="black", alpha=0.25, linewidths=0.4))
    ax.scatter(start[:, 0], start[:, 1], s=14, alpha=0.5, color=LATENT, linewidths=0, label=r"$z$")
    ax.scatter(end[:, 0], end[:, 1], s=14, alpha=0.7, color=GENERATED, linewidths=0, label=r"$x = G_\theta^{-1}(z)$")
    ax.set(xlabel="First dimension", ylabel="Second dimension", title=r"From latent $z$ to $x = G_\theta^{-1}(z)$")
    ax.legend(loc="upper center")
    return ax


def density_contours(
    log_prob: Callable[[np.ndarray], np.ndarray],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    *,
    masses: Sequence[float] = MASSES,
    filled: bool = True,
    color: str = TARGET,
    resolution: int = 200,
    dtype: type = np.float32,
    ax: Axes | None = None,
) -> Axes:
    """The smallest regions that hold given parts of a density's mass, drawn from its values on a grid.

    Args:
        log_prob: the log-density, but for a constant, of points of shape `(1, 1, 2, n)`, such as `G.log_prob`; that of
            a `VectorFlow` has them as rows.
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
    ax = axes_of(ax)
    x: np.ndarray = np.linspace(*xlim, resolution, dtype=dtype)
    y: np.ndarray = np.linspace(*ylim, resolution, dtype=dtype)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    takes_rows = getattr(getattr(log_prob, "__self__", None), "takes_rows", False)
    values = np.asarray(log_prob(points if takes_rows else points[:, :, None, None].T), np.float64)
    density = np.exp(values - values.max()).reshape(resolution, resolution)
    draw_regions(ax, x, y, density, masses, filled=filled, color=color)
    ax.set(xlim=xlim, ylim=ylim, xlabel="$x_1$", ylabel="$x_2$", title="Density")
    return ax


def latent_qq(Z: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Quantiles of latents against those of the Gaussian: the diagonal where the flow has learned its data.

    The grey band is where 95 % of each quantile's values lie if the latents are Gaussian (by the normal approximation
    of order statistics).

    Args:
        Z: latents, shape `(..., n_samples)` with three axes or more, or rows, `(n_samples, n_features)`: a line for
            each element of a sample, with a legend of up to six. A flat vector is taken as one line.
    """
    ax = axes_of(ax)
    Z = np.asarray(Z, np.float64)
    samples = Z.T if Z.ndim == 2 else Z.reshape(-1, Z.shape[-1], order="F")
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
    axes = curves({"L2 norm": l2, "Log-determinant": lgdet, "Full objective": np.subtract(l2, lgdet)}, axes=axes)
    axes[0].axhline(gaussian, color="tab:red", linestyle="--", label="Gaussian noise")
    axes[0].legend()
    if best is not None:
        axes[2].axhline(best, color="tab:green", linestyle="--", label="Best possible")
        axes[2].legend()
    return axes


def curves(columns: Mapping[str, Any], *, axes: list[Axes] | None = None) -> list[Axes]:
    """A panel for each column over the updates, one below the other.

    Args:
        columns: by its label, a value for each update.
        axes: as many axes to draw on.
    """
    if axes is None:
        import matplotlib.pyplot as plt

        axes = list(plt.subplots(len(columns), 1, sharex=True, squeeze=False)[1][:, 0])
    for ax, (label, values) in zip(axes, columns.items(), strict=True):
        ax.plot(np.arange(1, len(values) + 1), values, color="black", linewidth=0.8)
        ax.set_ylabel(label)
    axes[-1].set_xlabel("Parameter update")
    axes[0].set_title("Training log")
    return axes


def _scatter(ax: Axes, X: np.ndarray, count: int | None, color: str, label: str) -> None:
    points = _points(X)[:count]
    ax.scatter(points[:, 0], points[:, 1], s=16, alpha=0.5, color=color, linewidths=0, label=label)


def _points(X: np.ndarray) -> np.ndarray:
    """Two-dimensional samples as rows.

    Raises:
        ValueError: they have another shape.
    """
    if X.ndim == 2 and X.shape[1] == 2:
        return X
    if X.ndim == 4 and X.shape[:3] == (1, 1, 2):
        return X[0, 0].T
    raise ValueError(f"expected samples of shape (1, 1, 2, n_samples) or (n_samples, 2), got {X.shape}")


def _labelled(ax: Axes, letter: str, title: str) -> Axes:
    ax.set(xlabel=f"${letter}_1$", ylabel=f"${letter}_2$", title=title)
    ax.legend()
    return ax
