"""Calibration of posteriors that are known: a conditional Gaussian, right and wrong."""

from __future__ import annotations

import numpy as np
import pytest

from pyinvnets import diagnostics

M, N = 8000, 99
WRONG = {"narrow": {"scale": 0.8}, "wide": {"scale": 1.2}, "shifted": {"shift": 1 / 3}}


def posterior(scale=1.0, shift=0.0, seed=0):
    """Means from a prior of deviation 3; the posterior of deviation 1 around each, drawn with another scale or shift
    of all features. Samples, truths, and both log-densities by the posterior that was drawn from."""
    rng = np.random.default_rng(seed)
    means = 3 * rng.standard_normal((M, 2))
    truths = means + rng.standard_normal((M, 2))
    samples = means + shift + scale * rng.standard_normal((N, M, 2))
    log_probs = [-np.square((values - means - shift) / scale).sum(axis=-1) / 2 for values in (samples, truths)]
    return samples, truths, log_probs


def checks(samples, truths, log_probs):
    corner = truths.max(axis=0)
    return {
        "sbc": diagnostics.sbc(samples, truths),
        "tarp": diagnostics.tarp(samples, truths, seed=1),
        "tarp, one point": diagnostics.tarp(samples, truths, references=corner),
        "highest density": diagnostics.highest_density(*log_probs),
    }


def test_right_posteriors_are_uniform_at_one_per_cent():
    for name, ranks in checks(*posterior()).items():
        assert np.all(ranks.p_value() > 0.01), name
        assert np.all(ranks.calibration_error() < 0.01), name


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_posteriors_are_rejected(kind):
    for name, ranks in checks(*posterior(**WRONG[kind])).items():
        if (kind, name) != ("shifted", "tarp"):  # points on every side do not see it; one point does
            assert np.all(ranks.p_value() < 0.01), name


@pytest.mark.parametrize("seed", range(3))
def test_p_values_are_uniform(seed):
    """Of right posteriors they are below 0.1 once in ten."""
    rng = np.random.default_rng(seed)
    values = np.array(
        [diagnostics.Ranks(rng.integers(0, 100, 500), 99, central=True).p_value(bins=7) for _ in range(400)]
    )
    assert np.mean(values < 0.1) == pytest.approx(0.1, abs=0.05) and np.mean(values < 0.5) == pytest.approx(
        0.5, abs=0.08
    )


@pytest.mark.parametrize("degrees", [1, 2, 9, 20])
def test_the_distribution_of_chi_squared(degrees):
    from scipy.stats import chi2

    rng = np.random.default_rng(0)
    counts = rng.multinomial(700, np.full(degrees + 1, 1 / (degrees + 1)))
    ranks = diagnostics.Ranks(np.repeat(np.arange(degrees + 1), counts), degrees, central=True)
    expected = 700 / (degrees + 1)
    assert ranks.p_value(bins=degrees + 1) == pytest.approx(
        chi2.sf(np.square(counts - expected).sum() / expected, degrees), rel=1e-9
    )


def test_coverage_says_which_way_a_posterior_is_wrong():
    levels = [0.5, 0.9]
    right, narrow, wide = (checks(*posterior(**given)) for given in ({}, WRONG["narrow"], WRONG["wide"]))
    for name in ("sbc", "highest density"):
        covered = [each[name].coverage(levels).reshape(2, -1).mean(axis=1) for each in (right, narrow, wide)]
        np.testing.assert_allclose(covered[0], levels, atol=0.015)
        assert np.all(covered[1] < np.array(levels) - 0.03) and np.all(covered[2] > np.array(levels) + 0.02), name


def test_coverage_of_intervals_is_known():
    """The central half of a Gaussian 1.2 as wide holds this much of the true one."""
    from scipy.stats import norm

    ranks = diagnostics.sbc(*posterior(scale=1.2)[:2])
    expected = 1 - 2 * norm.sf(1.2 * norm.ppf(0.75))
    np.testing.assert_allclose(ranks.coverage([0.5])[0], expected, atol=0.015)


def test_ranks_of_few_samples():
    samples = np.array([[[0.0]], [[1.0]], [[2.0]]])
    for truth, rank in ((-1, 0), (0.5, 1), (3, 3)):
        ranks = diagnostics.sbc(samples, np.array([[float(truth)]]))
        assert ranks.values.tolist() == [[rank]] and ranks.draws == 3
        # One truth alone has no spread to measure distances by.
        assert diagnostics.tarp(samples, np.array([[float(truth)]]), references=[-10.0]).values.tolist() == [rank]
    assert diagnostics.highest_density([[0.0], [1.0], [2.0]], [0.5]).values.tolist() == [2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: diagnostics.sbc(np.zeros((3, 4, 2)), np.zeros((3, 2))), r"got \(3, 4, 2\) and \(3, 2\)"),
        (lambda: diagnostics.sbc(np.full((3, 4, 2), np.nan), np.zeros((4, 2))), "samples must be finite"),
        (lambda: diagnostics.tarp(np.zeros((3, 4, 2)), np.zeros((4, 2)), references=[0.0]), "references must have"),
        (lambda: diagnostics.highest_density(np.zeros((3, 4)), np.zeros(3)), r"got \(3, 4\) and \(3,\)"),
        (lambda: diagnostics.highest_density(np.full((3, 4), np.nan), np.zeros(4)), "not NaN"),
        (lambda: diagnostics.Ranks(np.zeros(20, int), 99, central=True).p_value(), "leave five truths of 20"),
        (lambda: diagnostics.Ranks(np.zeros(20, int), 1, central=True).p_value(bins=3), r"draws \+ 1 = 2"),
        (lambda: diagnostics.Ranks(np.zeros(20, int), 9, central=True).coverage([1.5]), "from 0 to 1"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
