"""Images, and posteriors of images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .axes import axes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes


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
    return _show(axes_of(ax), grid, limits or _range(X))


def posterior_images(
    samples: np.ndarray,
    *,
    truth: np.ndarray | None = None,
    observation: np.ndarray | None = None,
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Posterior samples of one image: the observation and the truth where they are given, the mean, the standard
    deviation, three samples.

    All but the observation and the standard deviation share one scale of values, that of the truth, or of the mean.

    Args:
        samples: grey or RGB images, `(nx, ny, 1 or 3, n_samples)`; see `image_grid`.
        truth: `(nx, ny, 1 or 3, 1)`.
        observation: what the samples were drawn for, where it is an image, `(nx, ny, 1 or 3, 1)` of any size.
        axes: five axes, and one more for each of truth and observation.

    Raises:
        ValueError: samples, truth or observation have another shape, or there are fewer than three samples.
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
    if observation is not None:
        seen = _pictures("posterior_images", observation)
        if len(seen) != 1:
            raise ValueError(f"posterior_images: expected one observation, got shape {observation.shape}")
        shown.insert(0, ("Observation", seen[0]))
    limits = _range(mean if truth is None else truth)
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, len(shown), figsize=(1.8 * len(shown), 2.4), layout="compressed")[1]
    for ax, (title, picture) in zip(axes, shown, strict=True):
        if picture is deviation:
            _scale(_show(ax, picture, (0, float(deviation.max())), "viridis"))
        else:
            _show(ax, picture, _range(picture) if title == "Observation" else limits)
        ax.set_title(title, fontsize="medium")
    return list(axes)


class Maps(Protocol):
    """The maps of `pyinvnets.diagnostics`, each of shape `(nx, ny, n_channels, m)`."""

    mean: np.ndarray
    deviation: np.ndarray
    error: np.ndarray
    z_score: np.ndarray
    ssim: np.ndarray | None


def image_maps(maps: Maps, *, image: int = 0, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """What a posterior says of one image, pixel by pixel: the mean, the standard deviation, the absolute error, the
    z-score, and the structural similarity to the truth where it is known.

    The error has the scale of the standard deviation, which it should be like; of several channels the root mean
    square is shown, and of the similarity the mean.

    Args:
        maps: those of `diagnostics.image_maps`, of grey or RGB images.
        image: which one.
        axes: four axes, five with the similarity.

    Raises:
        ValueError: images have neither one channel nor three.
        IndexError: there is no such image.
    """
    mean = _pictures("image_maps", maps.mean[..., [image]])[0]
    deviation, error, z_score = (
        np.sqrt(np.square(each[..., image]).mean(axis=2)).T for each in (maps.deviation, maps.error, maps.z_score)
    )
    shown = [("Standard deviation", deviation, float(deviation.max())), ("Error", error, float(deviation.max()))]
    shown += [("z-score", z_score, 3.0)]
    if maps.ssim is not None:
        shown += [("Similarity", maps.ssim[..., image].mean(axis=2).T, 1.0)]
    if axes is None:
        import matplotlib.pyplot as plt

        count = len(shown) + 1
        axes = plt.subplots(1, count, figsize=(1.8 * count, 2.5), layout="compressed")[1]
    _show(axes[0], mean, _range(mean)).set_title("Mean", fontsize="medium")
    for ax, (title, picture, high) in zip(axes[1:], shown, strict=True):
        _scale(_show(ax, picture[..., None], (0, high), "viridis")).set_title(title, fontsize="medium")
    return list(axes)


class Errors(Protocol):
    """The uncertainty of `pyinvnets.diagnostics`."""

    deviation: np.ndarray
    error: np.ndarray

    def calibration_error(self) -> float: ...


def uncertainty(given: Errors | Mapping[str, Errors], *, ax: Axes | None = None) -> Axes:
    """Actual errors of pixels over those that the posterior expects: the diagonal where its standard deviations are
    right, above it where they are too small.

    Args:
        given: that of `diagnostics.uncertainty`, or several by their label.
    """
    ax = axes_of(ax)
    several = given if isinstance(given, Mapping) else {"pixels": given}
    largest = 1.05 * max(float(max(one.deviation.max(), one.error.max())) for one in several.values())
    ax.plot([0, largest], [0, largest], color="0.4", linewidth=0.8)
    for label, one in several.items():
        words = f"{label}, calibration error {one.calibration_error():.2g}"
        ax.plot(one.deviation, one.error, "o-", markersize=4, linewidth=1, label=words)
    ax.set(xlim=(0, largest), ylim=(0, largest), aspect=1, title="Uncertainty of pixels")
    ax.set(xlabel="Posterior standard deviation", ylabel="Root mean square error")
    ax.legend(loc="upper left", fontsize="small")
    return ax


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


def _scale(ax: Axes) -> Axes:
    """The colours' values below an image, which keeps its size and its place beside others."""
    ax.figure.colorbar(ax.images[0], cax=ax.inset_axes((0.1, -0.1, 0.8, 0.05)), orientation="horizontal")
    return ax
