"""Posteriors of images, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .shapes import images


@dataclass(frozen=True, eq=False)
class ImageMaps:
    """What posterior samples of images say of their truths; each array has shape `(nx, ny, n_channels, m)`.

    Attributes:
        mean: the posterior means.
        deviation: the posterior standard deviations.
        error: mean less truth.
        z_score: `error / deviation`; zero where both are.
        ssim: structural similarity of mean and truth around each pixel, or `None` where scikit-image is not there.
    """

    mean: np.ndarray
    deviation: np.ndarray
    error: np.ndarray
    z_score: np.ndarray
    ssim: np.ndarray | None

    def rmse(self) -> np.ndarray:
        """The root of the mean squared error of each image's posterior mean, shape `(m,)`."""
        return np.sqrt(np.square(self.error).mean(axis=(0, 1, 2)))

    def rmse_map(self) -> np.ndarray:
        """That of each pixel over all images, shape `(nx, ny, n_channels)`."""
        return np.sqrt(np.square(self.error).mean(axis=-1))


def image_maps(samples: Any, truths: Any) -> ImageMaps:
    """The mean, the standard deviation, the error, the z-score and the structural similarity of each pixel.

    Args:
        samples: shape `(nx, ny, n_channels, m, n)`, with `n` two or more.
        truths: shape `(nx, ny, n_channels, m)`.

    Raises:
        ValueError: unfit shapes, or numbers that are not finite.

    Source: Wang et al. (2004), «Image quality assessment: from error visibility to structural similarity», by
    scikit-image, for the structural similarity. Its range of values is that of all truths.
    """
    samples, truths = images("image_maps", samples, truths)
    samples, truths = samples.astype(np.float64, copy=False), truths.astype(np.float64, copy=False)
    mean, deviation = samples.mean(axis=-1), samples.std(axis=-1, ddof=1)
    error = mean - truths
    with np.errstate(divide="ignore", invalid="ignore"):
        z_score = np.where(error == 0, 0, error / deviation)
    return ImageMaps(mean, deviation, error, z_score, _similarity(mean, truths))


def _similarity(mean: np.ndarray, truths: np.ndarray) -> np.ndarray | None:
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        return None
    size = min(7, *mean.shape[:2])
    # Its window must have an odd number of pixels, three or more.
    size -= 1 - size % 2
    if size < 3:
        return None
    extent = float(np.ptp(truths)) or 1.0
    maps = [
        structural_similarity(
            mean[..., i], truths[..., i], data_range=extent, channel_axis=-1, win_size=size, full=True
        )
        for i in range(truths.shape[-1])
    ]
    return np.stack([values for _, values in maps], axis=-1)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """The errors of pixels by how uncertain the posterior says it is of them: a curve along the diagonal where its
    standard deviations are right.

    Attributes:
        deviation: root mean square of the posterior standard deviations in each bin of pixels.
        error: root mean square of the errors of the posterior mean there.
        counts: number of pixels in each bin.
    """

    deviation: np.ndarray
    error: np.ndarray
    counts: np.ndarray

    def calibration_error(self) -> float:
        """The mean over pixels of how far the two are apart, in the images' units."""
        return float(np.average(np.abs(self.error - self.deviation), weights=self.counts))


def uncertainty(samples: Any, truths: Any, *, bins: int = 10) -> Uncertainty:
    """Expected and actual errors of pixels, and with them the posterior's calibration error.

    Of `n` samples the mean has an error of its own, which is allowed for: the deviations are larger by the factor
    `sqrt(1 + 1 / n)`.

    Args:
        samples: shape `(nx, ny, n_channels, m, n)`, with `n` two or more.
        truths: shape `(nx, ny, n_channels, m)`.
        bins: how many; each has as many pixels of all images, by rising standard deviation.

    Raises:
        ValueError: unfit shapes, numbers that are not finite, or more bins than pixels.

    Source: Laves et al. (2020), «Well-calibrated regression uncertainty in medical imaging with deep learning»,
    https://proceedings.mlr.press/v121/laves20a.html.
    """
    samples, truths = images("uncertainty", samples, truths)
    if not 1 <= bins <= truths.size:
        raise ValueError(f"uncertainty: bins must be from 1 to the number of pixels, {truths.size}, got {bins}")
    maps = image_maps(samples, truths)
    order = np.argsort(maps.deviation, axis=None)
    allowed = 1 + 1 / samples.shape[-1]
    parts = np.array_split(order, bins)
    variance, squares = maps.deviation.ravel() ** 2 * allowed, maps.error.ravel() ** 2
    return Uncertainty(
        np.sqrt([variance[part].mean() for part in parts]),
        np.sqrt([squares[part].mean() for part in parts]),
        np.array([len(part) for part in parts]),
    )
