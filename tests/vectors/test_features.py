"""Flows of bounded features, of one feature, of standardised ones, and with other base distributions."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pyinvnets as inv
from pyinvnets.vectors.bounds import Bounds
from pyinvnets.vectors.likelihood import RowLikelihood
from pyinvnets.vectors.standardisation import Standardisation

SHORT = {"epochs": 3, "batch_size": 50, "seed": 1, "progress": False}


def rows(n, features, seed=0):
    return np.random.default_rng(seed).standard_normal((n, features))


def double(flow):
    return flow.astype(np.float64)


# Bounds

INTERVALS = [(-1, 3), (2, None), (None, -1), None]


def within(n, seed=0):
    U = rows(n, 4, seed)
    return np.column_stack([-1 + 4 / (1 + np.exp(-U[:, 0])), 2 + np.exp(U[:, 1]), -1 - np.exp(-U[:, 2]), U[:, 3]])


def test_bounds_are_a_bijection_with_this_log_determinant():
    bounds = Bounds("test", INTERVALS, 4)
    X = within(50)
    U, logdet = bounds.free(X)
    np.testing.assert_allclose(U, rows(50, 4), atol=1e-9)
    np.testing.assert_allclose(bounds.bounded(U), X, rtol=1e-12)
    steps = 1e-6 * np.eye(4)
    for x, expected in zip(X[:5], logdet, strict=False):
        jacobian = (bounds.free(x + steps)[0] - bounds.free(x - steps)[0]) / 2e-6
        assert np.linalg.slogdet(jacobian)[1] == pytest.approx(expected, abs=1e-5)


def test_nothing_leaves_the_bounds():
    bounds = Bounds("test", INTERVALS, 4)
    for dtype in (np.float32, np.float64):
        X = bounds.bounded(np.array([[-1e3] * 4, [1e3] * 4], dtype))
        assert X.dtype == dtype and bounds.hold(X[:, :]).all() and np.isfinite(X).all()


@pytest.mark.parametrize("given", [(0, 1), [(0, 1), (0, 1)], [[0, 1], (0.0, 1)]])
def test_one_pair_is_for_all(given):
    assert Bounds("test", given, 2).arguments == ((0.0, 1.0), (0.0, 1.0))


def test_a_bounded_flow(engine):
    """Its samples lie within the bounds, its density integrates to one there and is zero outside."""
    X = 1 / (1 + np.exp(-rows(300, 2)))
    flow = double(inv.VectorFlow(2, bounds=(0, 1), n_hidden=8, K=2, engine=engine, seed=1))
    history = flow.fit(X, **SHORT)
    assert len(history.objective) == 18
    assert np.all((flow.sample(500, seed=1) > 0) & (flow.sample(500, seed=1) < 1))
    edges: np.ndarray = np.linspace(0, 1, 201)
    middles = (edges[1:] + edges[:-1]) / 2
    grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    assert np.exp(flow.log_prob(grid)).mean() == pytest.approx(1, abs=0.02)
    assert np.all(flow.log_prob(np.array([[0.5, 1.0], [-0.1, 0.5], [2.0, 2.0]])) == -np.inf)
    assert np.isnan(flow.log_prob(np.array([[np.nan, 0.5], [0.5, 0.5]]))).tolist() == [True, False]
    Z, lgdet = flow.forward(X)
    np.testing.assert_allclose(flow.inverse(Z), X, atol=1e-9)
    gaussian = -np.square(Z).sum(axis=1) / 2 - np.log(2 * np.pi)
    assert flow.log_prob(X).mean() == pytest.approx(gaussian.mean() + lgdet)
    X_new, log_prob = flow.sample_and_log_prob(20, seed=1, batch_size=7)
    np.testing.assert_allclose(X_new, flow.sample(20, seed=1), rtol=1e-9)
    np.testing.assert_allclose(log_prob, flow.log_prob(X_new))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((1, 0), "low below high, got"),
        ([(0, 1)], "a pair .* for all 2 feature"),
        ([(0, 1), 3], "None or a pair"),
        ([(0, "1"), None], "None or a pair"),
        ((0, float("nan")), "low below high"),
        ([(np.inf, None), None], "low below high"),
    ],
)
def test_unfit_bounds(bounds, message):
    with pytest.raises(ValueError, match=message):
        inv.VectorFlow(2, bounds=bounds, engine="numpy")


def test_data_outside_of_the_bounds_is_named():
    flow = double(inv.VectorFlow(2, bounds=[(0, 1), None], engine="numpy", seed=1))
    X = np.full((5, 2), 0.5)
    X[3, 0] = 1.0
    for call in (lambda: flow.fit(X), lambda: flow.forward(X), lambda: flow.fit(X[:3], validation=X)):
        with pytest.raises(ValueError, match=r"feature 1 of row 4 is 1.0, expected all data strictly within"):
            call()


# One feature


def test_one_feature():
    """An exponential distribution: half-line, one feature."""
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(2000, 1))
    flow = double(inv.VectorFlow(1, bounds=(0, None), n_hidden=16, K=4, engine="numpy", seed=1))
    flow.fit(X, epochs=20, batch_size=100, learning_rate=5e-3, seed=1, progress=False)
    test = rng.exponential(size=(2000, 1))
    assert -1.05 < flow.log_prob(test, batch_size=1000).mean() < -0.95  # the best is -1
    samples = flow.sample(4000, seed=2)
    assert samples.shape == (4000, 1) and samples.mean() == pytest.approx(1, abs=0.1)
    grid = np.linspace(1e-4, 20, 4000)[:, None]
    assert np.trapezoid(np.exp(flow.log_prob(grid))[..., None], grid, axis=0)[0] == pytest.approx(1, abs=0.02)
    assert flow.inverse(rows(3, 2)).shape == (3, 1)
    with pytest.raises(ValueError, match="n_features=1"):
        flow.forward(X)


def test_one_feature_given_a_condition(engine):
    C = rows(400, 2)
    X = C[:, :1] + 0.5 * rows(400, 1, seed=1)
    flow = double(inv.VectorFlow(1, n_cond=2, n_hidden=8, K=2, engine=engine, seed=1))
    flow.fit(X, C, **SHORT)
    samples, log_prob = flow.sample_and_log_prob(300, C[:3], each=True, seed=1)
    assert samples.shape == (300, 3, 1) and log_prob.shape == (300, 3)
    np.testing.assert_allclose(samples.mean(axis=0)[:, 0], C[:3, 0], atol=0.2)
    np.testing.assert_allclose(log_prob[:, 1], flow.log_prob(np.ascontiguousarray(samples[:, 1]), C[1:2]))


# Standardisation


def conditional(n=2000, seed=0):
    C = 50 + 20 * rows(n, 3, seed)
    return C @ np.array([[1.0, 0], [2, -1], [0, 3]]) + 1e-3 * rows(n, 2, seed + 1), C


def test_a_linear_relation_needs_no_training():
    """What is left is nearly Gaussian of deviation one: the density is known after one short epoch."""
    X, C = conditional()
    flow = double(inv.VectorFlow(2, n_cond=3, n_hidden=8, K=2, engine="numpy", seed=1))
    history = flow.fit(X, C, epochs=1, batch_size=500, learning_rate=1e-4, validation=0.1, seed=1, progress=False)
    test, given = conditional(seed=7)
    exact = 2 * (-0.5 - np.log(1e-3) - np.log(2 * np.pi) / 2)
    assert flow.log_prob(test, given).mean() == pytest.approx(exact, abs=0.5)
    assert history.validation[-1] == pytest.approx(-exact - np.log(2 * np.pi), abs=0.5)
    Z, lgdet = flow.forward(test, given)
    np.testing.assert_allclose(flow.inverse(Z, given), test, atol=1e-8)
    gaussian = -np.square(Z).sum(axis=1).mean() / 2 - np.log(2 * np.pi)
    assert flow.log_prob(test, given).mean() == pytest.approx(gaussian + lgdet)
    samples = flow.sample(200, given[:4], each=True, seed=1)
    np.testing.assert_allclose(samples.mean(axis=0), test[:4], atol=0.01)
    assert flow.sample(3, given[:1], seed=1).shape == (3, 2)


def test_what_never_varies_is_no_obstacle():
    X, C = conditional(200)
    C = np.column_stack([C, np.full(200, 7.0), np.arange(200) == 150])
    flow = double(inv.VectorFlow(2, n_cond=5, n_hidden=8, K=2, engine="numpy", seed=1))
    flow.fit(X, C, **SHORT)
    assert np.isfinite(flow.log_prob(X, C)).all()


def test_more_features_of_the_condition_than_samples():
    """Some of the data's variance is left, where a regression without a penalty would leave none."""
    C, X = rows(40, 100), rows(40, 2, seed=1)
    wide = Standardisation.of(X, C)
    assert np.all(wide.scale > 0.2)
    centred = (C - wide.centre) / wide.spread
    ridge = np.linalg.solve(centred.T @ centred + 39 * np.eye(100), centred.T @ (X - X.mean(axis=0)))
    np.testing.assert_allclose(wide.slope, ridge, atol=0.01)


def test_the_penalty_is_small_where_the_relation_is_strong():
    X, C = conditional(100)
    np.testing.assert_allclose(Standardisation.of(X, C).scale, 1e-3, rtol=0.3)
    independent = Standardisation.of(rows(100, 2, seed=9), C)
    least_squares = np.linalg.lstsq((C - independent.centre) / independent.spread, rows(100, 2, seed=9), rcond=None)[0]
    assert np.linalg.norm(independent.slope) < 0.7 * np.linalg.norm(least_squares)


def test_actnorm_that_was_set_before_stays():
    X, C = conditional(100)
    flow = double(inv.VectorFlow(2, n_cond=3, n_hidden=8, K=2, engine="numpy", seed=1))
    flow.forward(X, C)
    flow.fit(X, C, **SHORT)
    assert flow.standardisation is None
    unconditional = double(inv.VectorFlow(2, n_hidden=8, K=2, engine="numpy", seed=1))
    unconditional.fit(X, **SHORT)
    assert unconditional.standardisation is None


def test_a_failed_fit_leaves_nothing():
    X, C = conditional(100)
    flow = double(inv.VectorFlow(2, n_cond=3, n_hidden=8, K=2, engine="numpy", seed=1))
    with pytest.raises(ValueError, match="epochs must be a positive integer"):
        flow.fit(X, C, epochs=0)
    assert flow.standardisation is None
    X[5, 1] = np.nan
    with pytest.raises(ValueError, match="sample"):
        flow.fit(X, C, **SHORT)
    with pytest.raises(ValueError, match="equally many samples"):
        inv.VectorFlow(2, n_cond=3, engine="numpy").fit(X, C[:50])


def test_a_second_fit_keeps_the_standardisation():
    X, C = conditional(200)
    flow = double(inv.VectorFlow(2, n_cond=3, n_hidden=8, K=2, engine="numpy", seed=1))
    flow.fit(X, C, **SHORT)
    found = flow.standardisation
    flow.fit(X + 5, C, **SHORT)
    assert flow.standardisation is found


# Base distributions

MIXTURE = inv.GaussianMixture([(-2.0, 0.0), (2.0, 1.0)], 0.5)


@pytest.mark.parametrize("base", [inv.StudentT(3), MIXTURE])
def test_base_distributions_by_scipy(base):
    from scipy import stats

    Z = rows(6, 2)
    if isinstance(base, inv.StudentT):
        expected = stats.t.logpdf(Z, 3).sum(axis=1)
    else:
        parts = [stats.multivariate_normal.logpdf(Z, mean, 0.25) for mean in base.means]
        expected = np.logaddexp(*parts) - np.log(2)
    np.testing.assert_allclose(base.log_prob(Z), expected)
    steps = 1e-6 * np.eye(2)
    slopes = np.stack([(base.log_prob(Z + step) - base.log_prob(Z - step)) / 2e-6 for step in steps], axis=1)
    np.testing.assert_allclose(base.score(Z), slopes, atol=1e-6)
    samples = base.sample(np.random.default_rng(0), 20_000, 2)
    if base is MIXTURE:
        np.testing.assert_allclose(samples.mean(axis=0), [0, 0.5], atol=0.05)
        np.testing.assert_allclose(samples.var(axis=0), [4.25, 0.5], rtol=0.05)
    else:
        assert stats.kstest(samples.ravel(), "t", (3,)).pvalue > 0.01


@pytest.mark.parametrize("base", [inv.StudentT(3), MIXTURE])
def test_flows_with_a_base(engine, base):
    """Gradients are those of the log-likelihood with that base, and samples and density belong together."""
    X, C = rows(60, 2), rows(60, 1, seed=1)
    flow = double(inv.VectorFlow(2, n_cond=1, n_hidden=4, K=2, base=base, engine=engine, seed=1))
    flow.fit(X, C, **SHORT)
    before = -flow.log_prob(X, C).mean()
    history = flow.fit(X, C, epochs=1, batch_size=60, learning_rate=1e-5, validation=0, seed=1, progress=False)
    assert history.objective[0] == pytest.approx(before - np.log(2 * np.pi), abs=1e-9)
    change = -flow.log_prob(X, C).mean() - before
    assert -1e-2 < change < 0
    samples, log_prob = flow.sample_and_log_prob(40, C[:3], each=True, seed=1, batch_size=11)
    np.testing.assert_allclose(samples, flow.sample(40, C[:3], each=True, seed=1), atol=1e-9)
    np.testing.assert_allclose(log_prob[:, 2], flow.log_prob(np.ascontiguousarray(samples[:, 2]), C[2:3], batch_size=7))
    assert flow.sample(4, C[:4], seed=1).shape == flow.sample(4, C[:1], seed=1).shape == (4, 2)


def test_the_gradient_of_a_base():
    """Against differences of the objective, in every parameter of a layer."""
    X = rows(30, 2)
    flow = double(inv.VectorFlow(2, n_hidden=4, K=1, base=MIXTURE, engine="numpy", seed=1))
    flow.forward(X)
    batch = (X.reshape(30, 2, 1, 1).T,)
    gradient = RowLikelihood(MIXTURE, 0.0).gradients(flow.network, batch)
    bias = inv.named_params(flow)["AN[1,1].b"]
    found = bias.grad.copy()
    for i in range(2):
        values = []
        for step in (1e-6, -2e-6):
            bias.data[i] += step
            values.append(-flow.log_prob(X).mean())
        bias.data[i] += 1e-6
        assert found[i] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)
    assert gradient.evaluation.objective == pytest.approx(-flow.log_prob(X).mean() - np.log(2 * np.pi))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: inv.StudentT(0), ValueError, "df must be a positive finite number"),
        (lambda: inv.GaussianMixture([]), ValueError, "means must be rows"),
        (lambda: inv.GaussianMixture([(0.0,)], -1), ValueError, "deviation must be"),
        (lambda: inv.VectorFlow(3, base=MIXTURE, engine="numpy"), ValueError, r"expected means with 3 feature\(s\)"),
        (lambda: inv.VectorFlow(3, base="t", engine="numpy"), TypeError, "base must be a distribution"),
        (
            lambda: inv.VectorFlow.of(inv.NetworkGlow(3, 4, 1, 1, engine="numpy"), n_features=1),
            ValueError,
            "n_features must be 3",
        ),
    ],
)
def test_unfit_bases(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Files


@pytest.mark.parametrize("base", [None, inv.StudentT(4), MIXTURE])
def test_saved_and_loaded(tmp_path, base):
    X, C = conditional(100)
    flow = double(inv.VectorFlow(2, n_cond=3, n_hidden=4, K=2, bounds=(-1e4, None), base=base, engine="numpy", seed=1))
    flow.fit(X, C, **SHORT)
    inv.save(flow, tmp_path / "flow")
    again = inv.load(tmp_path / "flow", kind=inv.VectorFlow, engine="numpy")
    np.testing.assert_array_equal(again.log_prob(X, C), flow.log_prob(X, C))
    assert again.bounds == flow.bounds and again.base == base and repr(again) == repr(flow)
    assert repr(eval(repr(flow), dict(vars(inv)))) == repr(flow)


def test_one_feature_saved_and_loaded(tmp_path):
    flow = double(inv.VectorFlow(1, n_hidden=4, K=2, engine="numpy", seed=1))
    flow.fit(rows(100, 1), **SHORT)
    inv.save(flow, tmp_path / "flow")
    again = inv.load(tmp_path / "flow", engine="numpy")
    np.testing.assert_array_equal(again.sample(3, seed=1), flow.sample(3, seed=1))
    assert "n_features=1" in repr(again)


@pytest.mark.parametrize(
    "damage",
    [
        {"base": {"class": "eval", "arguments": {}}},
        {"base": {"class": "StudentT", "arguments": {"df": -1}}},
        {"bounds": [[1, 0], None]},
        {"n_features": 7},
        {"standardisation": {"slope": [[1]]}},
        {"standardisation": 5},
        [],
    ],
)
def test_damaged_forms_are_named(tmp_path, damage):
    X, C = conditional(100)
    flow = double(inv.VectorFlow(2, n_cond=3, n_hidden=4, K=2, engine="numpy", seed=1))
    flow.fit(X, C, **SHORT)
    inv.save(flow, tmp_path / "flow")
    form = damage if isinstance(damage, list) else flow.form() | damage
    flow.form = lambda: form
    inv.save(flow, tmp_path / "flow")
    assert json.dumps(form)
    with pytest.raises(ValueError, match="flow cannot be read"):
        inv.load(tmp_path / "flow", engine="numpy")
