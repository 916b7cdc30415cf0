"""The scikit-learn estimators: its own checks, and densities against the truth."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.datasets import make_moons
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import pyinvnets as inv
import pyinvnets.sklearn
from helpers.processes import run_python
from pyinvnets.sklearn import FlowDensity, FlowRegressor

# Few steps and epochs for the sake of time; of a regressor the checks also ask for a score.
SMALL = {"K": 2, "n_hidden": 16}


def own_checks(estimators):
    """As `parametrize_with_checks`, whose generator (scikit-learn 1.7, the last for Python 3.10) pytest 9 warns of."""
    mark = parametrize_with_checks(estimators).mark
    names, checks = mark.args
    return pytest.mark.parametrize(names, list(checks), **mark.kwargs)


@own_checks([FlowDensity(**SMALL, epochs=2), FlowRegressor(**SMALL, epochs=60)])
@pytest.mark.filterwarnings("default")
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def correlated(n, seed=0):
    """A Gaussian of unequal scales, and its log-density."""
    z = np.random.default_rng(seed).standard_normal((n, 2))
    X = np.column_stack([100 + 10 * z[:, 0], 0.01 * (0.8 * z[:, 0] + 0.6 * z[:, 1])])
    return X, -np.square(z).sum(axis=1) / 2 - np.log(2 * np.pi) - np.log(10 * 0.01 * 0.6)


def test_density(engine):
    """That of the data as given, scales included; latents are Gaussian, samples are like the data."""
    (X, _), (test, log_density) = correlated(1000), correlated(1000, seed=1)
    density = FlowDensity(K=3, n_hidden=8, epochs=20, noise=0, engine=engine, random_state=0).fit(X)
    assert abs(density.score(test) - log_density.mean()) < 0.1
    Z = density.transform(test)
    np.testing.assert_allclose(density.inverse_transform(Z), test, rtol=1e-9)
    np.testing.assert_allclose(np.cov(Z.T), np.eye(2), atol=0.2)
    samples = density.sample(5000, random_state=1)
    np.testing.assert_allclose(samples.mean(axis=0), X.mean(axis=0), rtol=0.05, atol=1e-3)
    np.testing.assert_allclose(samples.std(axis=0), X.std(axis=0), rtol=0.1)
    assert np.array_equal(samples, density.sample(5000, random_state=1))


def test_splines():
    X, _ = make_moons(300, noise=0.1, random_state=0)
    density = FlowDensity(**SMALL, coupling="spline", epochs=20, random_state=0).fit(X)
    assert isinstance(density.flow_.network, inv.NetworkSpline)
    assert density.score(X) > GaussianMixture(1).fit(X).score(X)
    regressor = FlowRegressor(**SMALL, coupling="spline", epochs=1, random_state=0).fit(X[:, :1], X[:, 1])
    assert isinstance(regressor.flow_.network, inv.NetworkConditionalSpline)


def test_whitening():
    """The density is that of the data as it is given, of features of which two nearly determine each other."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((400, 3))
    X[:, 2] = 5 * X[:, 1] + 0.05 * X[:, 2] + 3
    density = FlowDensity(whiten=True, epochs=5, random_state=0).fit(X)
    exact = -1.5 * np.log(2 * np.pi) - (X[:, :2] ** 2).sum(axis=1) / 2 - np.log(0.05)
    exact -= ((X[:, 2] - 3 - 5 * X[:, 1]) / 0.05) ** 2 / 2
    assert density.score(X) > exact.mean() - 0.3
    without = FlowDensity(epochs=5, random_state=0).fit(X)
    assert density.score(X) > without.score(X) + 0.3
    samples = density.sample(2000, random_state=1)
    assert np.std(samples[:, 2] - 5 * samples[:, 1]) < 0.1
    np.testing.assert_allclose(density.inverse_transform(density.transform(X)), X, atol=1e-5)


def test_density_integrates_to_one():
    X, _ = make_moons(300, noise=0.1, random_state=0)
    density = FlowDensity(**SMALL, epochs=20, random_state=0).fit(X)
    x, dx = np.linspace(-4, 5, 400, retstep=True)
    grid = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    assert np.exp(density.score_samples(grid)).sum() * dx**2 == pytest.approx(1, abs=1e-3)


def test_pickle_and_dtype():
    X = correlated(100)[0].astype(np.float32)
    density = FlowDensity(**SMALL, epochs=2, random_state=0).fit(X)
    assert density.flow_.network.dtype == density.transform(X).dtype == density.sample(2).dtype == np.float32
    again = pickle.loads(pickle.dumps(density))
    np.testing.assert_array_equal(again.score_samples(X), density.score_samples(X))


def test_in_pipelines_and_searches():
    X, _ = correlated(200)
    pipeline = make_pipeline(MaxAbsScaler(), FlowDensity(**SMALL, epochs=2, random_state=0))
    assert np.isfinite(cross_val_score(pipeline, X, cv=2)).all()
    search = GridSearchCV(
        FlowDensity(**SMALL, epochs=2, random_state=0), {"noise": [0.1, 100.0], "K": np.arange(2, 3)}, cv=2
    )
    assert search.fit(X).best_params_ == {"noise": 0.1, "K": 2}
    names = pipeline.fit(X).get_feature_names_out()
    assert list(names) == ["flowdensity0", "flowdensity1"]


def test_numpys_numbers_are_numbers():
    X = correlated(60)[0]
    options = {
        "patience": np.int64(2),
        "validation": np.float32(0.25),
        "epochs": np.int16(3),
        "batch_size": np.uint8(20),
        "K": np.int64(1),
        "n_hidden": np.int32(4),
        "learning_rate": np.float32(0.01),
        "noise": np.float64(0.1),
    }
    found = FlowDensity(**options, random_state=0).fit(X)
    of_python = {name: value.item() for name, value in options.items()}
    expected = FlowDensity(**of_python, random_state=0).fit(X)
    np.testing.assert_array_equal(found.score_samples(X), expected.score_samples(X))


def test_the_schedule_has_as_many_updates_as_the_training(monkeypatch):
    """Of 5 rows a tenth is one, and 4 are trained on."""
    seen, right = [], pyinvnets.sklearn.CosineDecay
    monkeypatch.setattr(
        pyinvnets.sklearn, "CosineDecay", lambda rate, updates: seen.append(updates) or right(rate, updates)
    )
    X = correlated(5)[0]
    density = FlowDensity(K=1, n_hidden=4, epochs=3, batch_size=4, validation=0.1, random_state=0).fit(X)
    assert seen == [3] == [len(density.history_.objective)]


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda: FlowDensity(bounds=(0, 1)).fit(np.eye(5)), r"feature 1 of row 1 is 1.0, expected all data strictly"),
        (lambda: FlowDensity().fit(np.eye(5)[:, :3] * [1, 0, 1]), r"feature\(s\) 1 never vary"),
        (lambda: FlowDensity(batch_size=0).fit(np.eye(5)), "batch_size must be at least 1, got 0"),
        (lambda: FlowDensity(K=0).fit(np.eye(5)), "FlowDensity: K must be at least 1, got 0"),
        (lambda: FlowDensity(coupling="cubic").fit(np.eye(5)), "FlowDensity: coupling must be"),
        (
            lambda: FlowDensity(validation=0.9).fit(np.eye(2)),
            "FlowDensity: validation=0.9 of 2 rows leaves none to train on; write validation=0",
        ),
        (
            lambda: FlowRegressor(validation=1).fit(np.eye(5), np.arange(5)),
            "FlowRegressor: validation must be a number from 0 to below 1, got 1",
        ),
        (lambda: FlowDensity(validation="a").fit(np.eye(5)), "validation must be a number from 0 to below 1, got 'a'"),
        (
            lambda: FlowDensity(noise="foo").fit(np.eye(5)),
            "FlowDensity: noise must be \"auto\" or a finite number, zero or more, got 'foo'",
        ),
        (lambda: FlowDensity(noise=-0.1).fit(np.eye(5)), 'noise must be "auto" or a finite number, zero or more'),
        (lambda: FlowRegressor().fit(np.eye(5), np.ones(5)), r"output\(s\) 0 never vary"),
    ],
)
def test_errors(fit, message):
    with pytest.raises(ValueError, match=message):
        fit()


def heteroscedastic(n, seed):
    """A wave whose noise grows with x: the data, the mean, the standard deviation."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    mean, std = 20 + np.sin(3 * x), 0.1 + 0.2 * (x + 1)
    return x[:, None], mean + std * rng.standard_normal(n), mean, std


def test_regressor(engine):
    X, y, _, _ = heteroscedastic(1000, seed=0)
    test, y_test, mean, std = heteroscedastic(500, seed=1)
    regressor = FlowRegressor(K=3, n_hidden=16, epochs=60, noise=0.05, engine=engine, random_state=0).fit(X, y)
    assert np.sqrt(np.square(regressor.predict(test) - mean).mean()) < 0.1
    assert np.abs(np.log(regressor.predict_std(test) / std)).mean() < 0.2
    best = (-np.square((y_test - mean) / std) / 2 - np.log(std) - np.log(2 * np.pi) / 2).mean()
    assert abs(regressor.log_prob(test, y_test).mean() - best) < 0.1
    samples = regressor.sample(test[:3], 4000, random_state=1)
    assert samples.shape == (3, 4000)
    np.testing.assert_allclose(samples.mean(axis=1), regressor.predict(test[:3]), atol=0.05)
    np.testing.assert_allclose(samples.std(axis=1), regressor.predict_std(test[:3]), rtol=0.1)


def test_single_output_integrates_to_one():
    X, y, _, _ = heteroscedastic(300, seed=0)
    regressor = FlowRegressor(**SMALL, epochs=30, random_state=0).fit(X, y)
    grid, step = np.linspace(15, 25, 2000, retstep=True)
    density = np.exp(regressor.log_prob(np.full((2000, 1), 0.3), grid))
    assert density.sum() * step == pytest.approx(1, abs=1e-3)


def test_several_outputs():
    """Their dependence is learnt too; a feature of X that never varies does no harm."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(-1, 1, 1000), np.ones(1000)])
    noise = rng.standard_normal((1000, 2)) * 0.3
    Y = X[:, :1] * [1, -2] + noise @ [[1, 0.8], [0, 0.6]]
    regressor = FlowRegressor(K=4, n_hidden=16, epochs=40, noise=0, random_state=0).fit(X, Y)
    assert regressor.score(X, Y) > 0.7
    assert regressor.log_prob(X, Y).shape == (1000,)
    samples = regressor.sample(X[:1], 2000, random_state=0)
    assert samples.shape == (1, 2, 2000)
    assert np.corrcoef(samples[0])[0, 1] == pytest.approx(0.8, abs=0.1)


def test_without_scikit_learn():
    done = run_python("import sys; sys.modules['sklearn'] = None; import pyinvnets.sklearn")
    assert (
        "ImportError: pyinvnets.sklearn needs scikit-learn 1.6; write pip install 'pyinvnets[sklearn]'" in done.stderr
    )
