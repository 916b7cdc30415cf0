"""Reverse KL: variational inference without samples, on both engines."""

from __future__ import annotations

import copy
import functools
import pickle

import numpy as np
import pytest

import pyinvnets as inv
from helpers.mathematics import assert_second_order, slope


def gaussian_at(point, deviation=1.0):
    """The log-density of a Gaussian, with its constant, and its gradient."""

    def log_density(X):
        R = (np.float64(X) - point) / deviation
        constant = R[..., 0].size * (np.log(deviation) + np.log(2 * np.pi) / 2)
        return -0.5 * np.sum(R**2, axis=(0, 1, 2)) - constant, (-R / deviation).astype(X.dtype)

    return log_density


def quartic(X):
    return -np.sum(X**4, axis=(0, 1, 2)) / 4 - np.sum(X, axis=(0, 1, 2)), -(X**3) - 1


def flat(engine="numpy", n_in=2, seed=1):
    G = inv.NetworkGlow(n_in, 4, 1, 2, engine=engine, seed=seed)
    G.spatial = (1, 1)
    return G


def images(engine):
    G = inv.NetworkGlow(1, 4, 2, 2, split_scales=True, engine=engine, seed=1)
    G.spatial = (4, 4)
    return G


def in_turn(engine):
    G = inv.Sequential(inv.ActNorm(2, logdet=True, engine=engine), flat(engine))
    G.spatial = (1, 1)
    return G


def additive(engine):
    G = inv.CouplingLayerIRIM(2, 4, engine=engine, seed=1)
    G.spatial = (8, 8)
    return G


def conditional(engine="numpy"):
    """One that has seen data of many conditions."""
    G, rng = inv.NetworkConditionalGlow(2, 3, 4, 1, 2, engine=engine, seed=1), np.random.default_rng(5)
    G.forward(*(rng.standard_normal((50, channels, 1, 1), dtype=np.float32).T for channels in (2, 3)))
    return G


CONDITION = np.random.default_rng(7).standard_normal((1, 1, 3, 1), dtype=np.float32)
CASES = {
    "rows": (flat, {}),
    "split scales": (images, {}),
    "a composite": (in_turn, {}),
    "volumes kept": (additive, {}),
    "a condition": (conditional, {"condition": CONDITION.astype(np.float64)}),
}

fit = functools.partial(inv.fit, progress=False, seed=1)


@pytest.mark.parametrize("power", [None, 0.3])
@pytest.mark.parametrize("case", CASES)
def test_the_gradient(case, power, engine):
    """A Taylor test in all parameters together, for latents that stay the same."""
    make, more = CASES[case]
    G = make(engine).astype(np.float64)
    whole = inv.ReverseKL(quartic, annealing=power and (lambda made: power), **more)
    whole.inputs(G)
    objective = whole.at(5)
    rng = np.random.default_rng(3)
    batch = objective.draw(G, rng, 6)
    objective.evaluate(G, batch)  # sets ActNorm
    assert G.initialised
    for p in inv.get_params(G):
        p.data = p.data + 0.1 * rng.standard_normal(p.shape)  # biases of zero are where a ReLU has its corner
    gradients = objective.gradients(G, batch)
    evaluation = gradients.evaluation
    log_q, log_density = (evaluation.terms[name] for name in objective.terms)
    assert evaluation.objective == pytest.approx(log_q - (power or 1) * log_density)
    parameters = inv.get_params(G)
    starts, directions = zip(*((p.data.copy(), rng.standard_normal(p.shape)) for p in parameters), strict=True)
    along = sum(float((p.grad * d).sum()) for p, d in zip(parameters, directions, strict=True))

    def moved(h):
        for p, start, d in zip(parameters, starts, directions, strict=True):
            p.data = start + h * d
        return objective.evaluate(G, batch).objective

    assert_second_order(slope(moved, along), case)


def test_the_terms_are_densities(engine):
    """The network's log-density of the samples that the latents make, and the target's, constants included."""
    G = flat(engine)
    objective = inv.ReverseKL(gaussian_at(1.0))
    batch = objective.draw(G, np.random.default_rng(1), 50)
    evaluation = objective.evaluate(G, batch)
    X = G.inverse(np.asfortranarray(batch[0][None, None]))
    assert evaluation.terms["log_q"] == pytest.approx(G.log_prob(X).mean(), abs=1e-4)
    assert evaluation.terms["log_density"] == pytest.approx(gaussian_at(1.0)(X)[0].mean(), abs=1e-4)
    assert (evaluation.samples, evaluation.dimensions) == (50, 2)


@pytest.mark.parametrize("case", CASES)
def test_a_gaussian_is_learnt(case, engine):
    """Its normalised density has the logarithm of its integral zero, which the objective approaches."""
    if case == "volumes kept":
        pytest.skip("a map that keeps volumes cannot make it")
    make, more = CASES[case]
    more = {name: array.astype(np.float32) for name, array in more.items()}
    G = make(engine)
    history = fit(
        G,
        objective=inv.ReverseKL(gaussian_at(3.0, 0.5), **more),
        epochs=4,
        updates_per_epoch=150,
        learning_rate=inv.CosineDecay(0.05, 600),
    )
    assert history.validation[-1] < 0.1 and history.objective[0] > 10
    assert list(history.terms) == ["log_q", "log_density"] and history.samples == [128] * 600
    C = more.get("condition")
    X = G.sample(4000, seed=1) if C is None else G.sample(4000, C, seed=1)
    assert abs(X.mean() - 3) < 0.05 and abs(X.std() - 0.5) < 0.05
    assert all(p.grad is None for p in inv.get_params(G))


def test_an_update_is_what_one_would_write(engine):
    G, H = flat(engine), flat(engine)
    history = fit(
        G,
        objective=inv.ReverseKL(gaussian_at(2.0)),
        epochs=2,
        updates_per_epoch=3,
        batch_size=20,
        learning_rate=0.01,
        validation=0,
    )
    rng, opt, R = np.random.default_rng(1), inv.Adam(0.01), inv.reverse(H, copy=False)
    rng.integers(2**63)  # the seed of validation
    written = []
    for _ in range(6):
        Z = rng.standard_normal((20, 2, 1, 1), dtype=np.float32).T
        X, lgdet = R.forward(Z)
        values, gradient = gaussian_at(2.0)(X)
        inv.clear_grad(R)
        R.backward(np.asfortranarray(-gradient / 20), X)
        opt.update(R)
        written.append(-np.sum(Z**2) / 40 - np.log(2 * np.pi) - lgdet - values.mean())
    assert history.objective == pytest.approx(written, rel=1e-4)
    for p, q in zip(inv.get_params(G), inv.get_params(H), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=1e-6)


class TestTheReversedNetwork:
    """It is kept from one update to the next."""

    def test_another_for_another_network(self, engine):
        G, H = flat(engine), flat(engine)
        objective = inv.ReverseKL(quartic, annealing=inv.Annealing(0.5, 10))
        of_G = objective.traversed(G)
        assert objective.at(3).traversed(G) is of_G
        batch = objective.draw(G, np.random.default_rng(1), 5)
        value = objective.evaluate(G, batch).objective
        for p in inv.get_params(H):
            p.data = np.ones(p.shape, H.dtype)
        assert objective.evaluate(H, batch).objective == inv.ReverseKL(quartic).evaluate(H, batch).objective != value

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
    def test_a_copy_beside_a_copied_network_reverses_that_one(self, engine, copied):
        G, objective = flat(engine), inv.ReverseKL(quartic)
        objective.traversed(G)
        H, other = copied((G, objective))
        for p in inv.get_params(H):
            p.data = np.ones(p.shape, H.dtype)
        batch = other.draw(H, np.random.default_rng(1), 5)
        assert other.evaluate(H, batch).objective == inv.ReverseKL(quartic).evaluate(H, batch).objective

    def test_it_is_as_the_network_is_now(self, engine):
        """Of another type, size of images, and choice of anchors than at the first update."""
        G, objective, rng = images(engine), inv.ReverseKL(quartic), np.random.default_rng(1)
        objective.evaluate(G, objective.draw(G, rng, 5))
        G.astype(np.float64)
        G.spatial, G.anchors = (8, 4), None
        batch = objective.draw(G, rng, 5)
        assert objective.evaluate(G, batch).objective == inv.ReverseKL(quartic).evaluate(G, batch).objective
        assert objective.traversed(G).anchors is None

    def test_what_it_learnt_of_its_drift_stays(self, engine, tmp_path):
        """From update to update, and in a checkpoint; the history has the drift of what is differentiated."""
        whole, first, second = (inv.NetworkGlow(2, 4, 1, 20, engine=engine, seed=1) for _ in range(3))
        objectives = [inv.ReverseKL(quartic) for _ in range(3)]
        options = {"updates_per_epoch": 3, "batch_size": 16, "learning_rate": 1e-4}
        for G, objective in zip((whole, first, second), objectives, strict=True):
            G.spatial = (1, 1)
            if G is not second:
                objective.traversed(G).spacings = [3]
        expected = fit(whole, objective=objectives[0], epochs=2, **options)
        fit(first, objective=objectives[1], epochs=1, checkpoint=tmp_path / "c", **options)
        history = fit(second, objective=objectives[2], epochs=2, resume=tmp_path / "c", **options)
        assert objectives[2].traversed(second).spacings == objectives[0].traversed(whole).spacings == [3]
        assert history.drift == expected.drift and history.anchors == expected.anchors
        assert all(0 < drift < 1.2e-5 for drift in history.drift)
        assert history.drift[-1] == objectives[2].traversed(second).drift


@pytest.mark.slow
def test_annealing_finds_the_second_mode():
    """Two Gaussians far apart: without annealing the samples fall into the nearer one."""

    def two(X):
        x = np.float64(X[0, 0])
        each = np.stack([-0.5 * np.sum((x - np.array([[4.0 * s], [0.0]])) ** 2, axis=0) for s in (1, -1)])
        weights = np.exp(each - np.logaddexp.reduce(each))
        gradient = sum(w * (np.array([[4.0 * s], [0.0]]) - x) for w, s in zip(weights, (1, -1), strict=True))
        return np.logaddexp.reduce(each), gradient[None, None].astype(X.dtype)

    shares = {}
    for annealing in (None, inv.Annealing(0.02, 400)):
        G = inv.NetworkGlow(2, 16, 1, 6, engine="numpy", seed=2)
        G.spatial = (1, 1)
        fit(
            G,
            objective=inv.ReverseKL(two, annealing=annealing),
            epochs=1,
            updates_per_epoch=600,
            learning_rate=inv.CosineDecay(0.01, 600),
            validation=0,
        )
        shares[annealing] = float((G.sample(2000, seed=1)[0, 0, 0] > 0).mean())
    plain, annealed = shares.values()
    assert abs(annealed - 0.5) < 0.15 < abs(plain - 0.5), shares


class TestTraining:
    objective = inv.ReverseKL(gaussian_at(2.0), annealing=inv.Annealing(0.5, 10))

    def test_resumed_training_is_as_if_it_had_never_stopped(self, engine, tmp_path):
        options = {"objective": self.objective, "updates_per_epoch": 4, "batch_size": 16}
        G, H = flat(engine), flat(engine)
        whole = fit(G, epochs=4, **options)
        fit(H, epochs=2, checkpoint=tmp_path / "c", **options)
        resumed = fit(H, epochs=4, resume=tmp_path / "c", **options)
        assert resumed.objective == whole.objective and resumed.validation == whole.validation
        for p, q in zip(inv.get_params(G), inv.get_params(H), strict=True):
            np.testing.assert_array_equal(p.data, q.data)
        with pytest.raises(ValueError, match="updates_per_epoch = 4, cannot go on with 5"):
            fit(H, epochs=4, resume=tmp_path / "c", **options | {"updates_per_epoch": 5})
        other = inv.ReverseKL(self.objective.log_density, annealing=inv.Annealing(0.25, 10))
        with pytest.raises(ValueError, match=r"objective = ReverseKL\(.*cannot go on with ReverseKL\(.*0.25"):
            fit(H, epochs=4, resume=tmp_path / "c", **options | {"objective": other})

    def test_patience_and_the_best_weights(self):
        """A learning rate so large that it does harm at once: the first epoch was the best."""
        G = flat()
        history = fit(
            G,
            objective=inv.ReverseKL(gaussian_at(0.0)),
            epochs=20,
            updates_per_epoch=5,
            patience=2,
            learning_rate=lambda made: 1e-3 if made < 5 else 0.3,
        )
        assert history.stopped == "no smaller validation objective in 2 epoch(s)" and history.epochs < 20
        best = int(np.argmin(history.validation))
        again = flat()
        fit(
            again,
            objective=inv.ReverseKL(gaussian_at(0.0)),
            epochs=best + 1,
            updates_per_epoch=5,
            validation=0,
            learning_rate=lambda made: 1e-3 if made < 5 else 0.3,
        )
        for p, q in zip(inv.get_params(G), inv.get_params(again), strict=True):
            np.testing.assert_array_equal(p.data, q.data)

    def test_a_callback_ends_it_after_the_line_of_its_epoch(self, capsys):
        asked = []
        options = {"objective": self.objective, "updates_per_epoch": 3, "seed": 1}
        history = inv.fit(flat(), epochs=5, callback=lambda G, h: asked.append(h.epochs) or h.epochs == 2, **options)
        assert asked == [1, 2] and history.updates == 6 and history.stopped == "the callback ended it"
        assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["epoch 1", "epoch 2"]

    def test_by_default_an_epoch_has_a_hundred_updates(self):
        assert fit(flat(), objective=self.objective, epochs=1, batch_size=2).updates == 100

    def test_a_density_that_is_not_finite_ends_it(self):
        calls = []

        def failing(X):
            calls.append(X)
            values, gradient = gaussian_at(0.0)(X)
            return (np.full_like(values, np.inf) if len(calls) > 6 else values), gradient

        with pytest.warns(RuntimeWarning, match="the objective of update 6 is -inf"):
            history = fit(flat(), objective=inv.ReverseKL(failing), epochs=3, validation=0)
        assert history.updates == 5 and "log_density inf" in history.stopped


class TestLibraries:
    """The same density by hand, and differentiated by a library."""

    @staticmethod
    def same_as_by_hand(log_density, tolerance):
        X = np.asfortranarray(np.random.default_rng(1).standard_normal((3, 2, 2, 5), dtype=np.float32))
        before = X.copy()
        values, gradient = log_density(X)
        expected, of_expected = quartic(X)
        np.testing.assert_allclose(values, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(gradient, of_expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_array_equal(X, before)
        history = fit(flat(), objective=inv.ReverseKL(log_density), epochs=1, updates_per_epoch=20)
        by_hand = fit(flat(), objective=inv.ReverseKL(quartic), epochs=1, updates_per_epoch=20)
        assert history.objective == pytest.approx(by_hand.objective, rel=1e-3)

    def test_torch(self):
        torch = pytest.importorskip("torch")
        log_density = inv.from_torch(lambda x: -(x**4 / 4 + x).sum((1, 2, 3)))
        self.same_as_by_hand(log_density, 1e-5)
        with torch.no_grad():
            self.same_as_by_hand(log_density, 1e-5)

    def test_jax(self):
        jax = pytest.importorskip("jax")
        self.same_as_by_hand(inv.from_jax(jax.jit(lambda x: -(x**4 / 4 + x).sum((1, 2, 3)))), 1e-5)


class TestBadInput:
    """Nothing changes."""

    @pytest.mark.parametrize(
        ("log_density", "error", "words"),
        [
            (lambda X: X.sum((0, 1, 2)), TypeError, "must give .values, gradient."),
            (lambda X: (X.sum((0, 1, 2))[:1], X), ValueError, r"values of shape \(2,\)"),
            (lambda X: (X.sum((0, 1, 2)), X[0]), ValueError, r"a gradient of shape \(1, 1, 2, 2\)"),
        ],
    )
    def test_a_density_of_a_wrong_form(self, log_density, error, words):
        G = flat()
        with pytest.raises(error, match=words):
            fit(G, objective=inv.ReverseKL(log_density))
        assert not G.initialised

    def test_what_is_no_function(self):
        with pytest.raises(TypeError, match="log_density must be a function"):
            inv.ReverseKL(3)
        with pytest.raises(TypeError, match="annealing must be a function"):
            inv.ReverseKL(quartic, annealing=0.5)

    def test_networks(self, engine):
        objective = inv.ReverseKL(quartic)
        with pytest.raises(TypeError, match="ReverseKL expects a network over one array"):
            fit(inv.NetworkConditionalHINT(2, 4, 1, engine=engine), objective=objective)
        with pytest.raises(TypeError, match="ReverseKL expects a network over one array"):
            fit(inv.ResidualBlock(2, 4, engine=engine), objective=objective)
        with pytest.raises(ValueError, match="keeps no log-determinant"):
            fit(inv.NetworkGlow(2, 4, 1, 2, logdet=False, engine=engine), objective=objective)
        with pytest.raises(ValueError, match="the image size is not known yet"):
            fit(inv.NetworkGlow(2, 4, 1, 2, engine=engine), objective=objective)

    def test_conditions(self):
        new = inv.NetworkConditionalGlow(2, 3, 4, 1, 2, engine="numpy")
        with pytest.raises(ValueError, match="not initialised"):
            fit(new, objective=inv.ReverseKL(quartic, condition=CONDITION))
        with pytest.raises(ValueError, match=r"needs a condition; write ReverseKL\(..., condition=C\)"):
            fit(conditional(), objective=inv.ReverseKL(quartic))
        with pytest.raises(ValueError, match="takes no condition"):
            fit(flat(), objective=inv.ReverseKL(quartic, condition=CONDITION))
        with pytest.raises(ValueError, match="condition must have one sample"):
            fit(conditional(), objective=inv.ReverseKL(quartic, condition=np.repeat(CONDITION, 2, axis=-1)))
        with pytest.raises(ValueError, match="ReverseKL: condition must have"):
            fit(conditional(), objective=inv.ReverseKL(quartic, condition=CONDITION[:, :, :2]))

    def test_samples_where_none_are_taken_and_none_where_they_are(self):
        G, X = flat(), np.zeros((1, 1, 2, 50), np.float32)
        objective = inv.ReverseKL(quartic)
        with pytest.raises(TypeError, match="draws its own samples; leave X and condition out"):
            fit(G, X, objective=objective)
        with pytest.raises(ValueError, match="noise is added to samples"):
            fit(G, objective=objective, noise=0.1)
        with pytest.raises(TypeError, match="validation must be a number"):
            fit(G, objective=objective, validation=X)
        with pytest.raises(ValueError, match="updates_per_epoch must be a positive integer"):
            fit(G, objective=objective, updates_per_epoch=0)
        with pytest.raises(TypeError, match=r"MaximumLikelihood\(\) needs samples; give X"):
            fit(G)
        with pytest.raises(ValueError, match="leave updates_per_epoch out"):
            fit(G, X, updates_per_epoch=3)
        assert not G.initialised

    def test_a_power_above_one(self):
        with pytest.raises(ValueError, match="start must be at most 1"):
            inv.Annealing(1.5, 10)
