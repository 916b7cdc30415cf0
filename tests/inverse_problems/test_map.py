"""MAP estimates: against the closed form where the prior is Gaussian, and against differences where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

import pyinvnets as inv
from helpers.comparison import assert_close
from pyinvnets.inverse_problems import GaussianLikelihood, map_estimate
from pyinvnets.inverse_problems.map import Search

rng = np.random.default_rng(2)
FEATURES, DATA = 6, 4
A = rng.standard_normal((DATA, FEATURES))


def linear_flow(engine, dtype=np.float32):
    """Fitted to correlated data by ActNorm alone, with a rotation between: its prior is Gaussian."""
    layers = [inv.ActNorm(FEATURES, logdet=True, engine=engine), inv.Conv1x1(FEATURES, engine=engine, seed=1)]
    G = inv.Sequential(*layers, inv.ActNorm(FEATURES, logdet=True, engine=engine)).astype(dtype)
    rows = rng.standard_normal((500, FEATURES)) @ rng.standard_normal((FEATURES, FEATURES)) + 1
    G.forward(rows.astype(dtype).reshape(500, FEATURES, 1, 1).T)
    return G


def of_gaussian(G):
    """The matrix and the shift of a linear flow."""
    basis = np.concatenate([np.zeros((1, FEATURES)), np.eye(FEATURES)]).astype(G.dtype)
    Z = G.forward(np.ascontiguousarray(basis).reshape(-1, FEATURES, 1, 1).T)[0][0, 0].astype(float)
    return Z[:, 1:] - Z[:, :1], Z[:, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_closed_form(engine, dtype):
    """For several data at once: the means of Gaussian posteriors."""
    G, noise = linear_flow(engine, dtype), 0.1
    y = (A @ rng.standard_normal((FEATURES, 7)) + noise * rng.standard_normal((DATA, 7))).astype(dtype)
    found = map_estimate(G, A.astype(dtype), y, noise)
    M, shift = of_gaussian(G)
    exact = np.linalg.solve(A.T @ A / noise**2 + M.T @ M, A.T @ y / noise**2 - M.T @ shift[:, None])
    assert found.X.shape == (1, 1, FEATURES, 7)
    assert_close(found.X[0, 0], exact, 1e-4, "MAP")
    assert np.all(np.diff(found.objective) <= 0)
    assert "CONVERGENCE" in found.stopped or dtype == np.float32
    Z = M @ exact + shift[:, None]
    likelihood = GaussianLikelihood(A, y, noise)(exact[None, None])[0]
    prior = -0.5 * np.sum(Z**2, axis=0) - FEATURES / 2 * np.log(2 * np.pi)
    assert found.objective[-1] == pytest.approx(-np.mean(likelihood + prior), rel=1e-4)
    assert all(p.grad is None for p in inv.get_params(G))


def digits_prior(engine="numpy", **options):
    """A multiscale flow, hardly trained."""
    G = inv.NetworkGlow(1, 8, 2, 2, engine=engine, seed=1, **options).astype(np.float64)
    G.forward(np.asfortranarray(np.random.default_rng(3).standard_normal((4, 4, 1, 20))))
    return G


@pytest.mark.parametrize("split_scales", [False, True])
def test_the_gradient(engine, split_scales):
    """Of what is minimised, for a flow that is not linear, in double precision."""
    G = digits_prior(engine, split_scales=split_scales)
    likelihood = GaussianLikelihood(np.eye(16)[:5], rng.standard_normal((5, 3)), 0.5)
    search = Search(G, likelihood, (4, 4))
    vector = rng.standard_normal(48)
    error = check_grad(lambda v: search(v)[0], lambda v: search(v)[1], vector, seed=1)
    assert error < 1e-5 * np.linalg.norm(search(vector)[1])


def test_each_datum_has_its_own():
    """Together as alone; and from the estimate there is hardly a way to go."""
    G, y = digits_prior(split_scales=True), np.random.default_rng(4).standard_normal((5, 3))
    operator = np.eye(16)[:5]
    together = map_estimate(G, operator, y, 0.5, spatial=(4, 4))
    alone = [map_estimate(G, operator, y[:, i], 0.5) for i in range(3)]
    assert np.mean([each.objective[-1] for each in alone]) == pytest.approx(together.objective[-1], abs=1e-3)
    for i, each in enumerate(alone):  # In some directions the density is flat.
        there = map_estimate(G, operator, y[:, i], 0.5, start=together.X[..., i : i + 1], iterations=1)
        assert there.objective[0] == pytest.approx(each.objective[-1], abs=1e-3)
    again = map_estimate(G, operator, y, 0.5, start=together.X)
    assert again.objective[0] == pytest.approx(together.objective[-1], abs=1e-4)


def test_few_iterations_end_the_search():
    G = digits_prior()
    found = map_estimate(G, np.eye(16)[:5], np.ones(5), 0.1, iterations=2)
    assert len(found.objective) == 3 and "LIMIT" in found.stopped


class TestBadInput:
    G = digits_prior()
    operator = np.eye(16)[:5]

    def test_priors(self):
        y = np.ones(5)
        with pytest.raises(TypeError, match="prior must be a flow without a condition"):
            map_estimate(inv.NetworkConditionalGlow(2, 1, 4, 1, 1, engine="numpy"), self.operator, y, 0.1)
        with pytest.raises(TypeError, match="prior must be a flow without a condition"):
            map_estimate(inv.VectorFlow(16, engine="numpy"), self.operator, y, 0.1)
        with pytest.raises(ValueError, match="map_estimate, prior: .* is not initialised"):
            map_estimate(inv.NetworkGlow(1, 8, 2, 2, engine="numpy"), self.operator, y, 0.1, spatial=(4, 4))

    def test_arrays(self):
        with pytest.raises(ValueError, match="y must have 5 numbers for an image of shape .4, 4, 1., .*got 4"):
            map_estimate(self.G, self.operator, np.ones(4), 0.1)
        with pytest.raises(ValueError, match="start must have an image of size .4, 4. for each of the 1 data"):
            map_estimate(self.G, self.operator, np.ones(5), 0.1, start=np.ones((4, 4, 1, 2), order="F"))
        with pytest.raises(ValueError, match="iterations must be a positive integer"):
            map_estimate(self.G, self.operator, np.ones(5), 0.1, iterations=0)
