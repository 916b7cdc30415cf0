"""Figures of posteriors: what they draw is read back from the axes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from pyinvnets import diagnostics, plotting


@pytest.fixture(autouse=True)
def _no_windows():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return Figure().subplots()


def rows(n, features=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n, features))


def ranks():
    means = rows(500)
    return diagnostics.sbc(means + np.random.default_rng(1).standard_normal((99, 500, 2)), means + rows(500, seed=2))


def test_coverage_draws_a_line_for_each_feature(ax):
    given = ranks()
    assert plotting.coverage({"flow": given, "other": given}, names=["a", "b"], ax=ax) is ax
    _, *lines = ax.lines
    assert [line.get_label() for line in lines] == ["flow a", "flow b", "other a", "other b"]
    levels, drawn = lines[1].get_data()
    np.testing.assert_array_equal(drawn, given.coverage(levels)[:, 1])
    band = ax.collections[0].get_paths()[0].vertices
    half = np.ptp(band[np.isclose(band[:, 0], 0.5), 1]) / 2
    assert half == pytest.approx(2.5758 * np.sqrt(0.25 / 500), rel=1e-3)
    plotting.coverage(diagnostics.tarp(rows(40)[:, None] + np.zeros((1, 500, 1)), rows(500)), ax=Figure().subplots())


def test_recovery(ax):
    z, gained = rows(30), 1 - rows(30, seed=1) ** 2
    plotting.recovery(z, gained, ax=ax)
    np.testing.assert_array_equal(ax.collections[1].get_offsets(), np.stack([gained[:, 1], z[:, 1]], axis=1))
    assert ax.get_xlim()[0] < gained.min() and ax.get_ylim()[1] > np.abs(z).max()


def test_two_sample(ax):
    plotting.two_sample({"ours": [0.5, 0.6], "theirs": [0.9]}, ax=ax)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["ours", "theirs"]
    bars = [collection.get_segments()[0][0, 1] for collection in ax.collections[1::2]]
    assert bars == pytest.approx([0.55, 0.9])


def area(collection):
    """What a filled region covers."""
    polygons = (p for path in collection.get_paths() for p in path.to_polygons(closed_only=True))
    return sum(abs(np.sum(p[:-1, 0] * p[1:, 1] - p[1:, 0] * p[:-1, 1])) / 2 for p in polygons)


def test_corner():
    samples, truth = rows(4000, 3), np.array([1.0, 0.0, -1.0])
    axes = plotting.corner(samples, truth=truth, exact=rows(4000, 3, seed=1), names=["a", "b", "c"])
    assert axes.shape == (3, 3) and not axes[0, 1].axison and axes[2, 0].get_xlabel() == "a"
    assert axes[2, 0].get_xlim() == axes[0, 0].get_xlim() and axes[2, 0].get_ylim() == axes[2, 2].get_xlim()
    # Ellipses of a Gaussian, wider by the bandwidth of the smoothing.
    found = sorted(map(area, axes[1, 0].collections[:3]))
    expected = [-2 * np.pi * np.log(1 - mass) for mass in (0.393, 0.865, 0.989)]
    np.testing.assert_allclose(found, expected, rtol=0.25)
    assert len(axes[1, 0].collections) == 4  # three filled regions and the exact ones' edges
    assert [line.get_xdata()[0] for line in axes[2, 1].lines][::2] == [0.0, 0.0]


def test_corner_on_given_axes_of_one_feature():
    axes = plt.subplots(1, 1, squeeze=False)[1]
    assert plotting.corner(rows(100, 1), axes=axes) is axes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.corner(rows(9)[0]), "samples must have shape"),
        (lambda: plotting.corner(rows(9), truth=np.zeros(3)), r"truth must have shape \(2,\)"),
        (lambda: plotting.corner(rows(9), exact=rows(9, 3)), r"exact must have shape \(n_exact, 2\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    assert not plt.get_fignums()


# Images


def images(n=7):
    rng = np.random.default_rng(0)
    truths = rng.standard_normal((4, 3, 1, 2))
    return truths[..., None] + 0.3 * rng.standard_normal((4, 3, 1, 2, n)), truths


def test_observation_beside_posterior_images():
    samples, truths = images()
    seen = np.arange(8.0).reshape(4, 2, 1, 1)
    axes = plotting.posterior_images(samples[..., 0, :], truth=truths[..., :1], observation=seen)
    assert [ax.get_title() for ax in axes[:2]] == ["Observation", "Truth"] and len(axes) == 7
    np.testing.assert_array_equal(axes[0].images[0].get_array(), seen[..., 0, 0].T)
    assert axes[0].images[0].get_clim() == (0, 7)
    with pytest.raises(ValueError, match="expected one observation"):
        plotting.posterior_images(samples[..., 0, :], observation=np.zeros((4, 2, 1, 2)))


def test_image_maps():
    maps = diagnostics.image_maps(*images())
    axes = plotting.image_maps(maps, image=1)
    assert [ax.get_title() for ax in axes[:4]] == ["Mean", "Standard deviation", "Error", "z-score"]
    np.testing.assert_allclose(axes[2].images[0].get_array(), np.abs(maps.error[:, :, 0, 1]).T)
    assert axes[2].images[0].get_clim() == axes[1].images[0].get_clim()


def test_uncertainty(ax):
    given = diagnostics.uncertainty(*images(), bins=3)
    plotting.uncertainty({"flow": given}, ax=ax)
    np.testing.assert_array_equal(ax.lines[1].get_data(), [given.deviation, given.error])
    assert "calibration error" in ax.lines[1].get_label()
