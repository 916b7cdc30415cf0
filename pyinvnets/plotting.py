"""Plots of flows: training, samples, latents, densities, images. Each draws on `ax`, a new figure where it is `None`,
and returns it.

Two-dimensional samples have Julia's shape, `(1, 1, 2, n_samples)`, or are rows, `(n_samples, 2)`, as `VectorFlow` has
them; images are `(nx, ny, 1 or 3, n_samples)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    _scatter(ax, Z, None, LATENT, r"$z \sim p_Z(z)$")
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
    masses: Sequence[float] = (0.393, 0.865, 0.989),
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
    ax = _axes(ax)
    x: np.ndarray = np.linspace(*xlim, resolution, dtype=dtype)
    y: np.ndarray = np.linspace(*ylim, resolution, dtype=dtype)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    takes_rows = getattr(getattr(log_prob, "__self__", None), "takes_rows", False)
    values = np.asarray(log_prob(points if takes_rows else points[:, :, None, None].T), np.float64)
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
        Z: latents, shape `(..., n_samples)` with three axes or more, or rows, `(n_samples, n_features)`: a line for
            each element of a sample, with a legend of up to six. A flat vector is taken as one line.
    """
    ax = _axes(ax)
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
    ax.hist(ranks + 0.5, bins=list(edges), color=TARGET, alpha=0.7, edgecolor="white")
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


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


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
    ax.legend(loc="upper center")
    return ax


# Images


def image_grid(
    X: np.ndarray, *, columns: int | None = None, limits: tuple[float, float] | None = None, ax: Axes | None = None
) -> Axes:
    """Images side by side, row after row.

    The first axis of `X` runs to the right and the second one down, so that a PyTorch batch `(N, C, H, W)` is the
    right way up after `.T`.

    Args:
        X: grey or RGB images, `(nx, ny, 1 or 3, n_samples)`.
        columns: images in a row; as many as there are rows, or one more, where it is `None`.
        limits: the values of black and of white, for RGB those of no and full colour; by default the smallest and the
            largest value of `X`.
        ax: see above.

    Raises:
        ValueError: X has another shape or no samples, or columns is not positive.
    """
    pictures = _pictures("image_grid", X)
    n, height, width, channels = pictures.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    if columns < 1:
        raise ValueError(f"image_grid: columns must be 1 or more, got {columns}")
    rows = -(-n // columns)
    # One picture with a gap of one pixel between images draws much faster than axes for each image.
    grid = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), np.nan)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        grid[top : top + height, left : left + width] = picture
    return _show(_axes(ax), grid, limits or _range(X))


def posterior_images(
    samples: np.ndarray, *, truth: np.ndarray | None = None, axes: Sequence[Axes] | None = None
) -> list[Axes]:
    """Posterior samples of one image: the truth where it is known, the mean, the standard deviation, three samples.

    All but the standard deviation share one scale of values, that of the truth, or of the mean.

    Args:
        samples: grey or RGB images, `(nx, ny, 1 or 3, n_samples)`; see `image_grid`.
        truth: `(nx, ny, 1 or 3, 1)`.
        axes: five axes, six with a truth.

    Raises:
        ValueError: samples or truth have another shape, or there are fewer than three samples.
    """
    pictures = _pictures("posterior_images", samples)
    if len(pictures) < 3:
        raise ValueError(f"posterior_images: expected three samples or more, got {len(pictures)}")
    if truth is not None and truth.shape != (*samples.shape[:3], 1):
        raise ValueError(f"posterior_images: truth must have shape {(*samples.shape[:3], 1)}, got {truth.shape}")
    mean = pictures.mean(axis=0)
    # Of RGB images the root of the mean variance of the three channels.
    deviation = np.sqrt(pictures.var(axis=0, ddof=1).mean(axis=-1, keepdims=True))
    shown = [("Mean", mean), ("Standard deviation", deviation)]
    shown += [(f"Sample {i + 1}", pictures[i]) for i in range(3)]
    if truth is not None:
        shown.insert(0, ("Truth", _pictures("posterior_images", truth)[0]))
    limits = _range(mean if truth is None else truth)
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, len(shown), figsize=(1.8 * len(shown), 2.2), layout="constrained")[1]
    for ax, (title, picture) in zip(axes, shown, strict=True):
        if picture is deviation:
            _show(ax, picture, (0, float(deviation.max())), "viridis")
            ax.figure.colorbar(ax.images[0], ax=ax, location="bottom", shrink=0.8)
        else:
            _show(ax, picture, limits)
        ax.set_title(title)
    return list(axes)


def _pictures(title: str, X: np.ndarray) -> np.ndarray:
    """Images as matplotlib has them, `(n_samples, ny, nx, n_channels)`."""
    if X.ndim != 4 or X.shape[2] not in (1, 3) or not X.shape[3]:
        raise ValueError(f"{title}: expected images of shape (nx, ny, 1 or 3, n_samples), got {X.shape}")
    return X.transpose(3, 1, 0, 2)


def _range(X: np.ndarray) -> tuple[float, float]:
    return float(X.min()), float(X.max())


def _show(ax: Axes, picture: np.ndarray, limits: tuple[float, float], colours: str = "gray") -> Axes:
    low, high = limits
    if picture.shape[-1] == 1:
        ax.imshow(picture[..., 0], vmin=low, vmax=high, cmap=colours, interpolation="nearest")
    else:
        gaps = np.isnan(picture).all(axis=-1, keepdims=True)
        colour = np.clip((picture - low) / (high - low or 1), 0, 1)
        ax.imshow(np.where(gaps, 1, colour), interpolation="nearest")
    ax.set_axis_off()
    return ax
