"""The smallest regions that hold given parts of a density's mass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MASSES = (0.393, 0.865, 0.989)
"""Those of a Gaussian within 1, 2 and 3 standard deviations."""


def draw_regions(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    density: np.ndarray,
    masses: Sequence[float],
    *,
    filled: bool,
    color: str,
) -> None:
    """Draw them from the density's values on a grid, of shape `(len(y), len(x))`."""
    falling = np.sort(density, axis=None)[::-1]
    held = np.cumsum(falling) / falling.sum()
    levels = sorted({*falling[np.minimum(np.searchsorted(held, sorted(masses)), len(held) - 1)]})
    if filled:
        for level in levels:
            ax.contourf(x, y, density, levels=[level, 2 * falling[0]], colors=[color], alpha=0.3)
    else:
        ax.contour(x, y, density, levels=levels, colors=[color], linewidths=1)


def smoothed(
    points: np.ndarray, xlim: tuple[float, float], ylim: tuple[float, float], resolution: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The density of points, smoothed by a Gaussian of Scott's bandwidth: `(x, y, density)` on a grid."""
    counts, x_edges, y_edges = np.histogram2d(points[:, 0], points[:, 1], bins=resolution, range=[xlim, ylim])
    density = counts.T
    for axis, edges, values in ((1, x_edges, points[:, 0]), (0, y_edges, points[:, 1])):
        low, high = np.quantile(values, [0.25, 0.75])
        deviation = min(values.std(), (high - low) / 1.35) or values.std()
        bandwidth = deviation * len(points) ** (-1 / 6) / (edges[1] - edges[0])
        reach = max(1, min(resolution // 2 - 1, round(4 * bandwidth)))
        kernel = np.exp(-np.square(np.arange(-reach, reach + 1) / max(bandwidth, 0.3)) / 2)
        density = np.apply_along_axis(np.convolve, axis, density, kernel / kernel.sum(), mode="same")
    return (x_edges[1:] + x_edges[:-1]) / 2, (y_edges[1:] + y_edges[:-1]) / 2, density
