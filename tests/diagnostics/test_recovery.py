"""z-scores and contraction of known posteriors; the classifier two-sample test; ArviZ."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from pyinvnets import diagnostics


def gaussians(n, shift=0.0, scale=1.0, seed=0):
    return shift + scale * np.random.default_rng(seed).standard_normal((n, 2))


def test_z_scores_and_contraction_of_a_gaussian():
    rng = np.random.default_rng(0)
    means = 3 * rng.standard_normal((2000, 2))
    truths = means + rng.standard_normal((2000, 2))
    samples = means + rng.standard_normal((200, 2000, 2))
    z = diagnostics.z_score(samples, truths)
    assert z.shape == (2000, 2)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.08)
    np.testing.assert_allclose(z.var(axis=0), 1, atol=0.1)
    np.testing.assert_allclose(diagnostics.contraction(samples, truths).mean(axis=0), 0.9, atol=0.01)
    assert np.all(diagnostics.z_score(samples + 1 / 3, truths).mean(axis=0) > 0.25)
    narrow = diagnostics.z_score(means + 0.8 * (samples - means), truths)
    np.testing.assert_allclose(narrow.var(axis=0), 1 / 0.64, atol=0.15)


def test_c2st_of_like_and_unlike_samples():
    pytest.importorskip("sklearn")
    reference = gaussians(300)
    scores = [diagnostics.c2st(gaussians(300, shift=shift, seed=1), reference, folds=2) for shift in (0.0, 1.0, 20.0)]
    assert scores[0] == pytest.approx(0.5, abs=0.05) and 0.7 < scores[1] < 0.82 and scores[2] == 1
    # Features are standardised by the reference, whatever their units.
    assert diagnostics.c2st(1e6 * gaussians(300, shift=1.0, seed=1), 1e6 * reference, folds=2) == pytest.approx(
        scores[1], abs=0.01
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: diagnostics.z_score(np.zeros((3, 4, 2)), np.zeros((4, 2))), "must vary"),
        (lambda: diagnostics.z_score(gaussians(4)[None], np.zeros((4, 2))), "must vary"),
        (lambda: diagnostics.contraction(np.zeros((3, 4, 2)), np.zeros((4, 2))), "truths must vary"),
        (lambda: diagnostics.contraction(gaussians(4)[None], gaussians(4)), "two samples or more"),
        (lambda: diagnostics.c2st(gaussians(9), gaussians(9)[:, :1]), r"got \(9, 2\) and \(9, 1\)"),
        (lambda: diagnostics.c2st(gaussians(3), gaussians(9)), "at least folds = 5 rows"),
        (lambda: diagnostics.c2st(gaussians(9), np.zeros((9, 2))), "must vary"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.fixture
def _arviz():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of what will change in it
        pytest.importorskip("arviz", reason="ArviZ is not installed")
        yield


@pytest.mark.usefixtures("_arviz")
def test_inference_data():
    samples = np.random.default_rng(0).standard_normal((50, 3, 2))
    data = diagnostics.to_inference_data(
        samples, names=["a", "b"], truths=samples[0], observations=np.ones((3, 4)), log_prob=samples[..., 0]
    )
    assert data.posterior["a"].dims == ("chain", "draw", "observation")
    np.testing.assert_array_equal(data.posterior["b"].values[0], samples[..., 1])
    np.testing.assert_array_equal(data.constant_data["a"].values, samples[0, :, 0])
    assert data.observed_data["condition"].dims == ("observation", "condition_feature")
    np.testing.assert_array_equal(data.sample_stats["lp"].values[0], samples[..., 0])


@pytest.mark.usefixtures("_arviz")
def test_inference_data_of_one_observation_has_a_summary():
    import arviz

    samples = np.random.default_rng(0).standard_normal((500, 2))
    summary = arviz.summary(diagnostics.to_inference_data(samples), kind="stats")
    np.testing.assert_allclose(summary["mean"], samples.mean(axis=0), atol=1e-3)
    assert list(summary.index) == ["x1", "x2"]
    for given, message in (
        ({"samples": samples[0]}, "samples must have shape"),
        ({"samples": samples, "names": ["a"]}, "expected 2 different names"),
        ({"samples": samples, "truths": [1.0]}, "truths must have shape"),
        ({"samples": samples, "observations": np.ones((3, 4))}, "observations must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            diagnostics.to_inference_data(**given)
