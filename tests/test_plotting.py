"""The plots show what they are given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from pyinvnets import plotting


@pytest.fixture(autouse=True)
def _figures():
    yield
    plt.close("all")


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
