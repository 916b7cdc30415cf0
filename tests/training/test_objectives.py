"""Objectives, their gradients as one vector, and the histories of their terms."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

import pyinvnets as inv
from pyinvnets.training.gradients import Evaluation, NotFinite
from pyinvnets.training.losses import MaximumLikelihood, Objective


def samples(n=60, seed=0):
    return np.asfortranarray(np.random.default_rng(seed).standard_normal((1, 1, 2, n), dtype=np.float32))


def glow(engine="numpy"):
    return inv.NetworkGlow(2, 4, 1, 2, engine=engine, seed=1)


def composite(engine="numpy"):
    return inv.Sequential(inv.ActNorm(2, logdet=True, engine=engine), glow(engine))


@dataclass(frozen=True)
class Nearby(Objective):
    """Latents near a point, volumes left alone: an objective with one term, which no flow has."""

    point: float = 1.0
    terms = ("distance",)

    def evaluate(self, network, batch):
        Z, lgdet = network.forward(*batch)
        n = Z.shape[-1]
        distance = float(np.sum((Z - self.point) ** 2)) / (2 * n) - lgdet

        def set_gradients():
            network.backward((Z - np.float32(self.point)) / n, Z)

        return Evaluation(distance, {"distance": distance}, n, 2, set_gradients)


class Bare(Nearby):
    """The same without a term of its own."""

    terms = ()


@pytest.mark.parametrize("make", [glow, composite])
def test_the_vector_of_gradients(make, engine):
    """It holds every gradient in order, and what is written into it is what the update is made of."""
    G, H, X = make(engine), make(engine), samples()
    gradients = MaximumLikelihood().gradients(G, (X,))
    expected = np.concatenate([p.grad.ravel(order="F") for p in inv.get_params(G)])
    np.testing.assert_array_equal(gradients.vector, expected)
    H.forward(X)
    before = np.concatenate([p.data.ravel(order="F") for p in inv.get_params(G)])
    gradients.vector[...] = np.arange(len(expected))
    gradients.apply(inv.SGD(0.5))
    after = np.concatenate([p.data.ravel(order="F") for p in inv.get_params(G)])
    np.testing.assert_allclose(after, before - 0.5 * np.arange(len(expected)), rtol=1e-6)


def test_the_vector_is_the_engines_own():
    G = glow()
    gradients = MaximumLikelihood().gradients(G, (samples(),))
    assert np.shares_memory(gradients.vector, inv.get_params(G)[0].grad)


def test_two_halves_of_a_batch_make_the_update_of_the_whole(engine):
    """As two processes would: the mean of the gradients of equal halves."""
    X = samples()
    whole, first, second = glow(engine), glow(engine), glow(engine)
    for G in (whole, first, second):
        G.forward(X)
    gradients = [
        MaximumLikelihood().gradients(G, (np.asfortranarray(part),))
        for G, part in ((first, X[..., :30]), (second, X[..., 30:]))
    ]
    mean = (gradients[0].vector + gradients[1].vector) / 2
    for own in gradients:
        own.vector[...] = mean
        own.apply(inv.SGD(0.1))
    MaximumLikelihood().gradients(whole, (X,)).apply(inv.SGD(0.1))
    for p, q, r in zip(*map(inv.get_params, (whole, first, second)), strict=True):
        np.testing.assert_array_equal(q.data, r.data)
        np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [glow, composite])
def test_clipping_before_and_after_the_vector_is_asked_for(make):
    for ask_first in (False, True):
        G = make()
        gradients = MaximumLikelihood().gradients(G, (10 * samples(),))
        if ask_first:
            assert np.linalg.norm(gradients.vector) > 0.01
        gradients.clip(0.01)
        assert np.linalg.norm(gradients.vector) == pytest.approx(0.01, rel=1e-5)


def test_an_objective_that_is_not_finite_has_no_gradients():
    G, X = glow(), samples()
    MaximumLikelihood().gradients(G, (X,))
    before = [p.grad.copy() for p in inv.get_params(G)]
    X[..., 0] = np.inf
    with pytest.raises(NotFinite, match="nan|inf"):
        MaximumLikelihood().gradients(G, (X,))
    for p, grad in zip(inv.get_params(G), before, strict=True):
        np.testing.assert_array_equal(p.grad, grad)


class TestAnother:
    def test_it_is_trained_for_and_its_term_recorded(self, engine, tmp_path):
        G, X = glow(engine), samples(200)
        options = {"batch_size": 20, "learning_rate": 0.02, "seed": 1, "progress": False, "objective": Nearby(2.0)}
        history = inv.fit(G, X, epochs=6, checkpoint=tmp_path / "c", **options)
        assert history.distance == history.objective and set(history.terms) == {"distance"}
        assert history.validation[-1] < history.validation[0]
        assert abs(G.forward(X)[0].mean() - 2) < 0.3
        assert not hasattr(history, "l2")
        again = inv.fit(glow(engine), X, epochs=7, resume=tmp_path / "c", **options)
        assert again.distance[: len(history.distance)] == history.distance
        assert list(history.to_dict()["updates"]) == ["epoch", "distance", "objective", "seconds", "drift", "anchors"]
        with pytest.raises(ValueError, match=r"objective = Nearby\(point=2.0\), cannot go on with Nearby\(point=3.0\)"):
            inv.fit(glow(engine), X, epochs=7, resume=tmp_path / "c", **options | {"objective": Nearby(3.0)})

    def test_without_terms(self, tmp_path):
        history = inv.fit(
            glow(), samples(), epochs=2, seed=1, progress=False, objective=Bare(), checkpoint=tmp_path / "c"
        )
        assert history.terms == {} and len(history.objective) == history.updates == 2
        history.write(tmp_path / "h.csv")
        header = (tmp_path / "h.csv").read_text().splitlines()[0]
        assert header == "update,epoch,objective,seconds,drift,anchors,validation"

    def test_a_plot_has_a_panel_for_each_term_and_the_objective(self):
        from matplotlib.figure import Figure

        history = inv.fit(glow(), samples(), epochs=2, seed=1, progress=False, objective=Nearby())
        axes = history.plot(list(Figure().subplots(2, 1)))
        assert [ax.get_ylabel() for ax in axes] == ["distance", "objective"]
        np.testing.assert_allclose(axes[1].lines[1].get_ydata(), history.validation)

    def test_a_term_with_the_name_of_another_column(self):
        class Clashing(Nearby):
            terms = ("seconds",)

        with pytest.raises(ValueError, match="seconds is the name of another column"):
            inv.fit(glow(), samples(), objective=Clashing())

    def test_one_that_sets_no_gradient(self):
        class Idle(Nearby):
            def evaluate(self, network, batch):
                evaluation = super().evaluate(network, batch)
                return Evaluation(evaluation.objective, evaluation.terms, 60, 2, lambda: None)

        G = glow()
        with pytest.raises(ValueError, match="has no gradient"):
            Idle().gradients(G, (samples(),)).vector  # noqa: B018
        with pytest.raises(ValueError, match="has no gradient"):
            inv.fit(G, samples(), objective=Idle(), progress=False)


def test_a_history_can_be_copied_and_compared():
    history = inv.fit(glow(), samples(), epochs=2, seed=1, progress=False)
    for other in (copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert other == history and other.l2 == history.l2
    other.l2[0] = 7.0
    assert other != history and "l2" in dir(history)
    with pytest.raises(AttributeError, match="no column 'kl'"):
        _ = history.kl
