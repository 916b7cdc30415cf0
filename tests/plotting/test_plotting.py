"""Plots: what they draw is read back from the axes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import pyinvnets as inv
from pyinvnets import plotting


@pytest.fixture(autouse=True)
def _no_windows():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return Figure().subplots()


def samples(n, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal((n, 2, 1, 1)).T


def gaussian(X, deviations=(1.0, 1.0)):
    return -((X[0, 0] / np.array(deviations)[:, None]) ** 2).sum(axis=0) / 2


def areas(ax):
    """What each drawn region covers."""

    def area(path):
        return sum(
            abs(np.sum(p[:-1, 0] * p[1:, 1] - p[1:, 0] * p[:-1, 1])) / 2
            for p in path.to_polygons(closed_only=True)
            if len(p) > 2
        )

    return [sum(map(area, collection.get_paths())) for collection in ax.collections]


class TestDensityContours:
    def test_regions_of_a_gaussian(self, ax):
        """The region that holds the mass p is an ellipse of area `-2 pi log(1 - p)` times the deviations."""
        masses = (0.2, 0.5, 0.9)
        log_prob = lambda X: gaussian(X, (1.0, 0.5))  # noqa: E731
        assert plotting.density_contours(log_prob, (-5, 5), (-3, 3), masses=masses, ax=ax) is ax
        expected = [-np.pi * np.log(1 - p) for p in reversed(masses)]
        assert areas(ax) == pytest.approx(expected, rel=0.02)

    def test_a_constant_does_not_matter(self, ax):
        plotting.density_contours(lambda X: gaussian(X) - 2000, (-5, 5), (-5, 5), ax=ax)
        other = Figure().subplots()
        plotting.density_contours(gaussian, (-5, 5), (-5, 5), ax=other)
        assert areas(ax) == pytest.approx(areas(other))

    def test_a_network(self, ax):
        G = inv.NetworkGlow(2, 4, 1, 2, engine="numpy", seed=1)
        G.forward(samples(100).astype(np.float32))
        plotting.density_contours(G.log_prob, (-4, 4), (-2, 2), filled=False, resolution=50, ax=ax)
        assert ax.get_xlim() == (-4, 4) and ax.get_ylim() == (-2, 2) and ax.collections

    @pytest.mark.parametrize("mass", [0, 1, 1.5])
    def test_bad_masses(self, ax, mass):
        with pytest.raises(ValueError, match="between 0 and 1"):
            plotting.density_contours(gaussian, (-1, 1), (-1, 1), masses=(0.5, mass), ax=ax)


class TestRows:
    """A `VectorFlow` and its rows are drawn as its network and images of one pixel."""

    @staticmethod
    def flow():
        flow, rows = inv.VectorFlow(2, engine="numpy", seed=1), samples(4000).astype(np.float32)[0, 0].T
        flow.forward(rows)
        return flow, rows

    def test_density(self, ax):
        flow, _ = self.flow()
        plotting.density_contours(flow.log_prob, (-4, 4), (-4, 4), resolution=50, ax=ax)
        other = Figure().subplots()
        plotting.density_contours(flow.network.log_prob, (-4, 4), (-4, 4), resolution=50, ax=other)
        assert areas(ax) == pytest.approx(areas(other)) and min(areas(ax)) > 0

    def test_samples(self):
        flow, rows = self.flow()
        images, Z = rows[:, :, None, None].T, flow.forward(rows)[0]
        for draw, as_rows, as_images in (
            (plotting.target_samples, (rows,), (images,)),
            (plotting.latent_samples, (rows,), (images,)),
            (plotting.generated_samples, (rows, Z), (images, Z[:, :, None, None].T)),
            (plotting.latent_to_data, (Z, rows), (Z[:, :, None, None].T, images)),
        ):
            drawn, expected = (draw(*arrays, ax=Figure().subplots()) for arrays in (as_rows, as_images))
            for found, right in zip(drawn.collections, expected.collections, strict=True):
                np.testing.assert_array_equal(found.get_offsets(), right.get_offsets())

    def test_quantiles(self, ax):
        """A line for each feature, not for each row."""
        flow, rows = self.flow()
        plotting.latent_qq(flow.forward(rows)[0], ax=ax)
        assert len(ax.lines) == 1 + 2

    @pytest.mark.parametrize("shape", [(5, 3), (2, 5), (1, 1, 3, 5), (5,), (2, 2, 2, 5)])
    def test_other_shapes_are_refused(self, shape, ax):
        with pytest.raises(ValueError, match=r"\(1, 1, 2, n_samples\) or \(n_samples, 2\), got"):
            plotting.target_samples(np.zeros(shape), ax=ax)


class TestQQ:
    @staticmethod
    def inside(ax, line):
        """The part of a line that lies in the band."""
        band = ax.collections[0].get_paths()[0].vertices
        x, y = line.get_data()
        return np.mean(
            [np.ptp(band[np.isclose(band[:, 0], a), 1]) / 2 >= abs(b - a) for a, b in zip(x, y, strict=True)]
        )

    def test_the_band_holds_95_percent_of_gaussian_latents(self, ax):
        Z = np.random.default_rng(0).standard_normal((10, 20, 300))
        assert plotting.latent_qq(Z, ax=ax) is ax
        _, *lines = ax.lines
        assert len(lines) == 200
        assert np.mean([self.inside(ax, line) for line in lines]) == pytest.approx(0.95, abs=0.01)

    def test_others_do_not(self, ax):
        plotting.latent_qq(samples(500, scale=1.3), ax=ax)
        assert all(self.inside(ax, line) < 0.6 for line in ax.lines[1:])

    def test_elements_keep_their_samples(self, ax):
        Z = samples(50)
        Z[0, 0, 1] += 100
        plotting.latent_qq(Z, ax=ax)
        assert ax.lines[1].get_ydata().max() < 10 and ax.lines[2].get_ydata().min() > 90

    def test_a_flat_latent_is_one_line(self, ax):
        plotting.latent_qq(np.arange(10.0), ax=ax)
        assert len(ax.lines) == 2 and len(ax.get_legend().texts) == 1


class TestRanks:
    def test_counts(self, ax):
        ranks = np.repeat(np.arange(100), 3)
        assert plotting.rank_histogram(ranks, 99, ax=ax) is ax
        assert [bar.get_height() for bar in ax.patches if bar.get_x() >= 0][-20:] == [15] * 20

    @pytest.mark.parametrize(
        ("ranks", "draws", "message"), [([0], 100, "multiple of bins"), ([-1], 99, "0 to"), ([100], 99, "0 to")]
    )
    def test_bad_input(self, ax, ranks, draws, message):
        with pytest.raises(ValueError, match=message):
            plotting.rank_histogram(np.array(ranks), draws, ax=ax)


@pytest.mark.parametrize(
    "plot",
    [
        plotting.target_samples,
        plotting.latent_samples,
        plotting.latent_qq,
        lambda X, ax: plotting.generated_samples(X, X, ax=ax),
        lambda X, ax: plotting.latent_to_data(X, X, ax=ax),
        lambda X, ax: plotting.density_contours(gaussian, (-1, 1), (-1, 1), resolution=10, ax=ax),
        lambda X, ax: plotting.rank_histogram(np.arange(100), 99, ax=ax),
    ],
)
def test_without_axes_a_figure_is_made(plot):
    assert plot(samples(10), ax=None).figure is plt.gcf()


# Images


def test_image_grid_shows_pytorch_images_the_right_way_up():
    batch = np.arange(5 * 3 * 4, dtype=np.float32).reshape(5, 1, 3, 4)  # (N, C, H, W)
    _, ax = plt.subplots()
    assert plotting.image_grid(batch.T, columns=2, ax=ax) is ax
    shown = ax.images[0].get_array()
    assert shown.shape == (3 * 3 + 2, 2 * 4 + 1)
    for i, image in enumerate(batch):
        top, left = i // 2 * 4, i % 2 * 5
        np.testing.assert_array_equal(shown[top : top + 3, left : left + 4], image[0])
    assert np.ma.getmaskarray(shown)[3].all() and np.ma.getmaskarray(shown)[8:, 5:].all()
    assert ax.images[0].get_clim() == (0, 59)
    assert ax.images[0].origin == "upper"


def test_image_grid_in_colour_clips_at_the_limits():
    batch = np.random.default_rng(0).uniform(-1, 2, (4, 3, 2, 5)).astype(np.float32)
    ax = plotting.image_grid(batch.T, limits=(-0.5, 1.5))
    shown = ax.images[0].get_array()
    np.testing.assert_allclose(shown[:2, :5], np.clip((batch[0].transpose(1, 2, 0) + 0.5) / 2, 0, 1), rtol=1e-6)
    assert (shown[2] == 1).all() and (shown[:, 5] == 1).all()


def test_posterior_images_show_truth_mean_deviation_and_samples():
    batch = np.random.default_rng(0).normal(size=(7, 1, 3, 4))
    truth = np.full((1, 1, 3, 4), 2.0)
    truth[0, 0, 0, 0] = -2
    axes = plotting.posterior_images(batch.T, truth=truth.T)
    expected = {
        "Truth": truth[0, 0],
        "Mean": batch.mean(axis=0)[0],
        "Standard deviation": batch.std(axis=0, ddof=1)[0],
        **{f"Sample {i + 1}": batch[i, 0] for i in range(3)},
    }
    assert [ax.get_title() for ax in axes] == list(expected)
    for ax, values in zip(axes, expected.values(), strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), values)
        limits = (0, values.max()) if ax.get_title() == "Standard deviation" else (-2, 2)
        assert ax.images[0].get_clim() == limits


def test_posterior_images_in_colour_on_given_axes():
    batch = np.random.default_rng(0).uniform(size=(5, 3, 3, 4))
    given = list(plt.subplots(1, 5)[1])
    axes = plotting.posterior_images(batch.T, axes=given)
    assert axes == given
    assert axes[0].images[0].get_array().shape == (3, 4, 3)
    deviation = np.sqrt(batch.var(axis=0, ddof=1).mean(axis=0))
    np.testing.assert_allclose(axes[1].images[0].get_array(), deviation)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.image_grid(np.zeros((8, 8, 2, 4))), "expected images of shape"),
        (lambda: plotting.image_grid(np.zeros((8, 8, 4))), "expected images of shape"),
        (lambda: plotting.image_grid(np.zeros((8, 8, 1, 0))), "expected images of shape"),
        (lambda: plotting.image_grid(np.zeros((8, 8, 1, 4)), columns=0), "columns must be 1 or more"),
        (lambda: plotting.posterior_images(np.zeros((8, 8, 1, 2))), "three samples or more"),
        (
            lambda: plotting.posterior_images(np.zeros((8, 8, 1, 4)), truth=np.zeros((8, 4, 1, 1))),
            r"truth must have shape \(8, 8, 1, 1\)",
        ),
    ],
)
def test_wrong_images_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    assert not plt.get_fignums()
