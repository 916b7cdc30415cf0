"""Flows learn known distributions: samples and posteriors against the exact ones, by tests at 1 %."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

import pyinvnets as inv

pytestmark = pytest.mark.slow


def rows(X):
    return X.T.reshape(X.shape[-1], -1)


def pixels(vectors):
    return np.ascontiguousarray(vectors, np.float32).reshape(*vectors.shape, 1, 1).T


def same_distribution(x, y, permutations=200):
    """The p-value of equal distributions: by permutations of the energy distance, after scaling each column."""
    rng = np.random.default_rng(0)
    both = np.concatenate([x, y])
    distances = cdist(*[both / both.std(axis=0)] * 2)

    def energy(first):
        sign = np.where(first, 1 / first.sum(), -1 / (~first).sum())
        return -sign @ distances @ sign

    first = np.arange(len(both)) < len(x)
    found = energy(first)
    return (1 + sum(energy(rng.permutation(first)) >= found for _ in range(permutations))) / (1 + permutations)


def test_the_banana(engine):
    """Three epochs: the entropy to within 0.03, and samples that cannot be told from the truth."""
    epochs, batch_size = 3, 50
    X = inv.sample_banana(60_000, seed=1234, engine="numpy")
    G = inv.NetworkGlow(2, 16, 1, 10, engine=engine, seed=1)
    history = inv.fit(
        G, X, epochs=epochs, batch_size=batch_size, learning_rate=inv.CosineDecay(2e-3, 3240), seed=1, progress=False
    )
    assert min(history.validation) == pytest.approx(1, abs=0.03)
    new = inv.sample_banana(20_000, seed=5, engine="numpy")
    u, v = new[0, 0].astype(float)
    exact = -(u**2 + (v - 4 * (u**2 + 1)) ** 2) / 2 - np.log(2 * np.pi)
    assert 0 < np.mean(exact - G.log_prob(new)) < 0.03
    true, other = (rows(inv.sample_banana(500, seed=seed, engine="numpy")) for seed in (1, 2))
    assert same_distribution(rows(G.sample(500, seed=1)), true) > 0.01
    assert same_distribution(other * [1, 1.3], true) <= 0.01, "the test tells a stretched banana"


A = np.stack([np.ones(5), np.linspace(0.5, 2, 5)], axis=1)
SIGMA = 0.4
COVARIANCE = np.linalg.inv(np.eye(2) + A.T @ A / SIGMA**2)


def simulate(n, seed):
    """Intercept and slope, and five noisy points of the line, as in examples/conditional.ipynb."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 2))
    return x, x @ A.T + SIGMA * rng.standard_normal((n, 5))


@pytest.fixture(scope="module", params=["numpy", pytest.param("julia", marks=pytest.mark.julia)])
def posterior(request):
    n, epochs = 100_000, 20
    x, y = map(pixels, simulate(n, seed=1))
    G = inv.NetworkConditionalGlow(2, 5, 32, 1, 6, k1=1, p1=0, engine=request.param, seed=1)
    schedule = inv.CosineDecay(5e-3, epochs * n * 9 // 10 // 500)
    inv.fit(G, x, y, epochs=epochs, batch_size=500, learning_rate=schedule, seed=1, progress=False)
    return G


def test_posterior_mean_and_covariance(posterior):
    _, y = simulate(100, seed=2)
    draws = [rows(posterior.sample(10_000, pixels(y[i : i + 1]), seed=i)) for i in range(len(y))]
    means = np.array([d.mean(axis=0) for d in draws])
    covariances = np.array([np.cov(d.T) for d in draws])
    exact = y @ A @ COVARIANCE / SIGMA**2
    assert np.linalg.norm(means - exact) < 0.05 * np.linalg.norm(exact)
    assert np.linalg.norm(covariances - COVARIANCE) < 0.05 * np.sqrt(len(y)) * np.linalg.norm(COVARIANCE)


def test_calibration(posterior):
    n, draws = 2000, 99
    x, y = simulate(n, seed=3)
    samples = rows(posterior.sample(n * draws, pixels(np.repeat(y, draws, axis=0)), seed=1)).reshape(n, draws, 2)

    def p_values(samples):
        ranks = (samples < x[:, None]).sum(axis=1)
        return [stats.chisquare(np.bincount(r // 5, minlength=20)).pvalue for r in ranks.T]

    assert min(p_values(samples)) > 0.01
    centre = samples.mean(axis=1, keepdims=True)
    assert max(p_values(centre + 0.8 * (samples - centre))) < 0.01, "the test tells a posterior that is too narrow"
