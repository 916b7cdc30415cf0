"""Posteriors by reverse KL and corrected ones, against exact Gaussian ones."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from pyinvnets.inverse_problems import correct, posterior
from pyinvnets.inverse_problems.correction import in_latents
from pyinvnets.inverse_problems.likelihood import of_flow

Posterior = functools.partial(posterior, progress=False, seed=1)


def standard(X):
    """The standard Gaussian's log-density."""
    return -0.5 * np.sum(X**2, axis=(0, 1, 2), dtype=np.float64) - X[..., 0].size / 2 * np.log(2 * np.pi), -X


class Linear:
    """`y = A x + noise` with a standard Gaussian prior, and its posterior and evidence in closed form."""

    def __init__(self, features, data, noise, seed):
        rng = np.random.default_rng(seed)
        self.A, self.noise = rng.standard_normal((data, features)) / np.sqrt(features), noise
        self.y = self.A @ rng.standard_normal(features) + noise * rng.standard_normal(data)
        self._solve()

    def _solve(self):
        features = self.A.shape[1]
        self.covariance = np.linalg.inv(np.eye(features) + self.A.T @ self.A / self.noise**2)
        self.mean = self.covariance @ self.A.T @ self.y / self.noise**2
        of_y = self.A @ self.A.T + self.noise**2 * np.eye(len(self.y))
        logdet = np.linalg.slogdet(2 * np.pi * of_y)[1]
        self.log_evidence = -0.5 * (self.y @ np.linalg.solve(of_y, self.y) + logdet)

    def sample(self, n, seed=0):
        noise = np.random.default_rng(seed).standard_normal((n, len(self.mean)))
        return self.mean + noise @ np.linalg.cholesky(self.covariance).T


def rows(images):
    return np.asarray(images)[0, 0].T.astype(np.float64)


@pytest.mark.slow
def test_a_gaussian_posterior_of_20_unknowns(engine):
    """Mean and covariance within 3 %, the evidence within 0.05 nats, and so the bound that training ends with."""
    problem = Linear(20, 12, 0.3, seed=3)
    updates = 3000
    found = Posterior(
        problem.A,
        problem.y,
        problem.noise,
        prior=standard,
        flow=inv.NetworkGlow(20, 32, 1, 6, engine=engine, seed=1),
        spatial=(1, 1),
        epochs=10,
        updates_per_epoch=updates // 10,
        learning_rate=inv.CosineDecay(1e-2, updates),
    )
    X = rows(found.sample(200_000, seed=5, batch_size=20_000))
    assert np.linalg.norm(X.mean(axis=0) - problem.mean) < 0.03 * np.linalg.norm(problem.mean)
    assert np.linalg.norm(np.cov(X.T) - problem.covariance) < 0.03 * np.linalg.norm(problem.covariance)
    assert found.log_evidence(seed=6) == pytest.approx(problem.log_evidence, abs=0.05)
    assert problem.log_evidence - 0.05 < -found.history.validation[-1]


def small(engine="numpy", seed=1):
    return inv.NetworkGlow(4, 16, 1, 4, engine=engine, seed=seed)


@functools.cache
def amortised(engine):
    """The posteriors of a problem with much noise, all of them, by maximum likelihood."""
    problem, rng = Linear(4, 3, 0.3, seed=7), np.random.default_rng(8)
    x = rng.standard_normal((8000, 4)).astype(np.float32)
    y = (x @ problem.A.T + problem.noise * rng.standard_normal((8000, 3))).astype(np.float32)
    G = inv.NetworkConditionalGlow(4, 3, 24, 1, 4, engine=engine, seed=1)
    X, Y = (array.reshape(*array.shape, 1, 1).T for array in (x, y))
    inv.fit(G, X, Y, epochs=4, learning_rate=inv.CosineDecay(5e-3, 240), seed=1, progress=False)
    return G, problem


def shifted(problem):
    """The same with less noise, another operator, and a datum of it."""
    other = Linear(4, 3, 0.1, seed=9)
    C = other.y.astype(np.float32).reshape(1, 3, 1, 1).T
    return other, np.asfortranarray(C)


def divergence(found, problem):
    """Of the fitted posterior from the exact one, in nats."""
    X = found.sample(10_000, seed=2, batch_size=2000)
    values = found.log_prob(X, batch_size=2000) - found.log_density(X)[0]
    return float(np.mean(values) + problem.log_evidence)


def test_a_warm_start_needs_fewer_updates(engine):
    """On data like those of training: an amortised posterior begins near the end, a new flow far from it."""
    G, problem = amortised(engine)
    before = G.state_dict()
    C = np.asfortranarray(problem.y.astype(np.float32).reshape(1, 3, 1, 1).T)
    options = {"prior": standard, "epochs": 1, "updates_per_epoch": 20, "learning_rate": 1e-3}
    data = problem.A, problem.y, problem.noise
    warm = Posterior(*data, flow=G, condition=C, **options)
    cold = Posterior(*data, flow=small(engine), spatial=(1, 1), **options)
    gaps = [divergence(found, problem) for found in (warm, cold)]
    assert gaps[0] < 0.05 and gaps[0] < gaps[1] / 10, gaps
    for name, value in G.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    X = warm.sample(10_000, seed=1)
    assert np.abs(rows(X).mean(axis=0) - problem.mean).max() < 0.1
    assert_close(warm.log_prob(X, batch_size=3000), warm.flow.log_prob(X, C), 1e-6, "log-density")


@pytest.mark.slow
def test_a_corrected_posterior(engine):
    """With another operator and less noise than in training, a classifier tells the amortised posterior from the exact
    one, and hardly the corrected one."""
    pytest.importorskip("sklearn")
    G, problem = amortised(engine)
    other, C = shifted(problem)
    before, exact = G.state_dict(), other.sample(1000, seed=2)
    updates = 2000
    found = correct(
        G,
        C,
        other.A,
        other.y,
        other.noise,
        prior=standard,
        flow=small(engine),
        epochs=4,
        updates_per_epoch=updates // 4,
        learning_rate=inv.CosineDecay(1e-2, updates),
        seed=1,
        progress=False,
    )
    uncorrected = rows(G.sample(1000, C, seed=3))
    assert inv.diagnostics.c2st(uncorrected, exact) > 0.9
    assert inv.diagnostics.c2st(rows(found.sample(1000, seed=3)), exact) < 0.65
    assert found.log_evidence(seed=4) == pytest.approx(other.log_evidence, abs=0.05)
    for name, value in G.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert all(p.grad is None for p in inv.get_params(G))


def test_without_a_prior_the_amortised_posterior_is_the_prior(engine):
    """As in the source, by a layer that scales and shifts each latent."""
    G, problem = amortised(engine)
    other, C = shifted(problem)
    flow = inv.AffineLayer(1, 1, 4, logdet=True, engine=engine)
    options = {"epochs": 2, "learning_rate": 0.02, "seed": 1, "progress": False}
    found = correct(G, C, other.A, other.y, other.noise, flow=flow, **options)
    assert found.history.validation[1] < found.history.validation[0]

    def misfit(images):
        return float(np.mean((rows(images) @ other.A.T - other.y) ** 2))

    assert misfit(found.sample(500, seed=1)) < 0.5 * misfit(G.sample(500, C, seed=1))


def test_densities_and_their_gradients(engine):
    """Of a flow, and of an image's density in the latents of a conditional one: by differences, in double precision."""
    rng = np.random.default_rng(4)
    G = inv.NetworkConditionalGlow(2, 2, 4, 1, 2, engine=engine, seed=1).astype(np.float64)
    F = inv.NetworkGlow(2, 4, 2, 2, split_scales=True, engine=engine, seed=1).astype(np.float64)
    X, C = (np.asfortranarray(rng.standard_normal((4, 4, 2, 6))) for _ in range(2))
    G.forward(X, C)
    F.forward(X)
    one = np.asfortranarray(C[..., :1])
    for log_density in (of_flow(F), of_flow(G, one), in_latents(of_flow(F), G, one)):
        _, gradient = log_density(X)
        step = rng.standard_normal(X.shape)
        ends = [log_density(X + sign * 1e-6 * step)[0] for sign in (1, -1)]
        along = np.sum(gradient * step, axis=(0, 1, 2))
        np.testing.assert_allclose(along, (ends[0] - ends[1]) / 2e-6, rtol=1e-4, atol=1e-4)
    assert_close(of_flow(F)(X)[0], F.log_prob(X), 1e-9, "log-density of the flow")
    # A change of variables: an amortised posterior is a standard Gaussian in its own latents.
    assert_close(in_latents(of_flow(G, one), G, one)(X)[0], standard(X)[0], 1e-9, "log-density of the latents")


class TestBadInput:
    A, y = np.eye(4)[:3], np.ones(3)

    def test_of_posterior(self):
        with pytest.raises(ValueError, match="y must be one datum, got 2"):
            Posterior(self.A, np.ones((3, 2)), 0.1, prior=standard, flow=small(), spatial=(1, 1))
        with pytest.raises(ValueError, match="y must have 3 numbers .*got 2"):
            Posterior(self.A, np.ones(2), 0.1, prior=standard, flow=small(), spatial=(1, 1))
        with pytest.raises(TypeError, match="prior must be a flow, or a function"):
            Posterior(self.A, self.y, 0.1, prior=1.0, flow=small(), spatial=(1, 1))
        with pytest.raises(TypeError, match=r"write prior=flow.network"):
            Posterior(self.A, self.y, 0.1, prior=inv.VectorFlow(4, engine="numpy"), flow=small(), spatial=(1, 1))
        with pytest.raises(ValueError, match="posterior, prior: .* is not initialised"):
            Posterior(self.A, self.y, 0.1, prior=small(), flow=small(), spatial=(1, 1))
        with pytest.raises(TypeError, match="flow must be a network over images"):
            Posterior(self.A, self.y, 0.1, prior=standard, flow=inv.VectorFlow(4, engine="numpy"))
        with pytest.raises(ValueError, match="the image size is not known yet"):
            Posterior(self.A, self.y, 0.1, prior=standard, flow=small())

    def test_of_correct(self):
        G, _ = amortised("numpy")
        C = np.zeros((1, 1, 3, 1), np.float32)
        with pytest.raises(TypeError, match="amortised must be a conditional flow"):
            correct(small(), C, self.A, self.y, 0.1, flow=small())
        with pytest.raises(ValueError, match="condition must have one sample"):
            correct(G, np.repeat(C, 2, -1), self.A, self.y, 0.1, flow=small())
        with pytest.raises(TypeError, match=r"flow must be a network over images of shape \(1, 1, 4\)"):
            correct(G, C, self.A, self.y, 0.1, flow=inv.NetworkGlow(2, 4, 1, 2, engine="numpy"))
