"""Plots of flows and posteriors: training, samples, latents, densities, calibration, images. Each draws on `ax`, a new
figure where it is `None`, and returns it.

Two-dimensional samples have Julia's shape, `(1, 1, 2, n_samples)`, or are rows, `(n_samples, 2)`, as `VectorFlow` has
them; images are `(nx, ny, 1 or 3, n_samples)`. `TARGET`, `GENERATED` and `LATENT` are the colours of what they draw.
"""

from .axes import GENERATED, LATENT, TARGET
from .flows import (
    curves,
    density_contours,
    generated_samples,
    latent_qq,
    latent_samples,
    latent_to_data,
    target_samples,
    training_log,
)
from .images import image_grid, image_maps, posterior_images, uncertainty
from .posteriors import corner, coverage, rank_histogram, recovery, two_sample

__all__ = [
    "GENERATED",
    "LATENT",
    "TARGET",
    "corner",
    "coverage",
    "curves",
    "density_contours",
    "generated_samples",
    "image_grid",
    "image_maps",
    "latent_qq",
    "latent_samples",
    "latent_to_data",
    "posterior_images",
    "rank_histogram",
    "recovery",
    "target_samples",
    "training_log",
    "two_sample",
    "uncertainty",
]
