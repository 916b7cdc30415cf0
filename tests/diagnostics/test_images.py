"""Maps and uncertainties of posteriors of images that are known."""

from __future__ import annotations

import numpy as np
import pytest

from pyinvnets import diagnostics

SHAPE = (8, 10, 1, 6)


def posterior(scale=1.0, n=60, seed=0):
    """Of each pixel a Gaussian whose deviation rises along the image."""
    rng = np.random.default_rng(seed)
    deviation = np.linspace(0.5, 2, 8)[:, None, None, None]
    mean = 5 * rng.standard_normal(SHAPE)
    truths = mean + deviation * rng.standard_normal(SHAPE)
    return mean[..., None] + scale * deviation[..., None] * rng.standard_normal((*SHAPE, n)), truths


def test_maps():
    samples, truths = posterior()
    maps = diagnostics.image_maps(samples, truths)
    np.testing.assert_allclose(maps.mean, samples.mean(axis=-1))
    np.testing.assert_allclose(maps.error, maps.mean - truths)
    np.testing.assert_allclose(maps.deviation, samples.std(axis=-1, ddof=1))
    np.testing.assert_allclose(maps.z_score * maps.deviation, maps.error)
    np.testing.assert_allclose(maps.rmse(), [np.sqrt(np.mean((maps.mean - truths)[..., i] ** 2)) for i in range(6)])
    assert maps.rmse_map().shape == SHAPE[:3]
    assert maps.z_score.var() == pytest.approx(1, abs=0.15)


def test_similarity():
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    samples, truths = posterior()
    maps = diagnostics.image_maps(samples, truths)
    assert maps.ssim.shape == SHAPE and 0.3 < maps.ssim.mean() < 1
    exact = diagnostics.image_maps(np.repeat(truths[..., None], 2, axis=-1), truths)
    np.testing.assert_allclose(exact.ssim, 1)
    assert np.all(exact.z_score == 0)
    assert diagnostics.image_maps(samples[:2], truths[:2]).ssim is None


def test_uncertainty_is_along_the_diagonal_where_it_is_right():
    right, narrow, wide = (diagnostics.uncertainty(*posterior(scale), bins=4) for scale in (1, 0.5, 2))
    np.testing.assert_allclose(right.error, right.deviation, rtol=0.2)
    assert right.counts.sum() == np.prod(SHAPE) and np.all(np.diff(right.deviation) > 0)
    assert np.all(narrow.error > 1.5 * narrow.deviation) and np.all(wide.error < 0.7 * wide.deviation)
    assert right.calibration_error() < 0.15 < 0.5 < min(narrow.calibration_error(), wide.calibration_error())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: diagnostics.image_maps(*(array[0] for array in posterior())), r"shape \(nx, ny, n_channels, m, n\)"),
        (lambda: diagnostics.image_maps(posterior(n=1)[0], posterior()[1]), "two samples or more"),
        (lambda: diagnostics.uncertainty(*posterior(), bins=0), "bins must be from 1"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
