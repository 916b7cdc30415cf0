"""The density of one lane given the other, and samples of it, against finite differences and exact integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close, single
from pyinvnets.networks.base import pair
from pyinvnets.validation.cases import CASES, Run

NAMES = [
    "ConditionalLayerHINT",
    "ConditionalLayerHINT, deep",
    "NetworkConditionalHINT",
    "NetworkMultiScaleConditionalHINT",
    "NetworkMultiScaleConditionalHINT, split",
]


@pytest.fixture(params=NAMES)
def run(request, engine):
    return Run(CASES[request.param], engine)


def expected_log_prob(network, X, Y, step=1e-5):
    """Of one sample: the Gaussian's density at its latent, and the Jacobian's block of X by central differences."""
    columns = []
    for index in np.ndindex(X.shape):
        ends = []
        for sign in (step, -step):
            moved = X.copy(order="F")
            moved[index] += sign
            ends.append(network.forward(moved, Y)[0].ravel())
        columns.append((ends[0] - ends[1]) / (2 * step))
    z = network.forward(X, Y)[0].ravel()
    return -(z @ z + len(z) * math.log(2 * math.pi)) / 2 + np.linalg.slogdet(np.array(columns))[1]


def check_by_sample(run):
    network, (X, Y) = run.network, run.inputs
    expected = [expected_log_prob(network, *single((X, Y), i)) for i in range(X.shape[-1])]
    found = network.log_prob_given(X, Y)
    assert found.shape == (len(expected),) and found.dtype == network.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-5)


def test_these_are_all():
    assert [
        name for name, case in CASES.items() if isinstance(case.make(engine="numpy"), pair.ConditionalPairFlow)
    ] == NAMES


def test_by_sample(run):
    check_by_sample(run)
    network, (X, Y) = run.network, run.inputs
    np.testing.assert_allclose(network.log_prob_given(X, Y, batch_size=1), network.log_prob_given(X, Y), rtol=1e-12)
    one, each = Y[..., :1], np.asfortranarray(np.repeat(Y[..., :1], 2, axis=-1))
    np.testing.assert_allclose(network.log_prob_given(X, one), network.log_prob_given(X, each), rtol=1e-12)


def test_a_wrong_sign_is_seen(run, monkeypatch):
    original = run.network.propagate

    def flipped(mode, title, inputs):
        *outputs, terms = original(mode, title, inputs)
        return *outputs, -terms if mode == "forward_Y_by_sample" else terms

    monkeypatch.setattr(run.network, "propagate", flipped)
    with pytest.raises(AssertionError):
        check_by_sample(run)


def test_samples(run):
    """Their latent in X is what the generator drew, that in Y the given one's."""
    network, Y = run.network, run.inputs[1]
    one = np.asfortranarray(Y[..., :1])
    X = network.sample_given(3, one, seed=3)
    assert X.shape == (*Y.shape[:-1], 3) and X.dtype == np.float64 and X.flags.f_contiguous
    drawn = np.random.default_rng(3).standard_normal((3, one.size))
    for i in range(3):
        Zx, Zy, _ = network.forward(np.asfortranarray(X[..., i : i + 1]), one)
        assert_close(np.sort(Zx.ravel()), np.sort(drawn[i]), 1e-6, "latent")
        assert_close(Zy, network.forward_Y(one), 1e-9, "latent of Y")
    for fewer in (network.sample_given(2, one, seed=3), network.sample_given(2, one, seed=3, batch_size=1)):
        assert_close(fewer, X[..., :2], 1e-9, "sample")
    both = network.sample_given(2, Y, seed=3)
    assert_close(both[..., :1], X[..., :1], 1e-9, "sample")
    assert_close(network.sample_given(2, Y, seed=3, batch_size=1), both, 1e-9, "sample")


@pytest.mark.julia
@pytest.mark.parametrize("name", NAMES)
def test_engines_agree(name):
    ours, julias = (Run(CASES[name], engine) for engine in ("numpy", "julia"))
    found, expected = (run.network.log_prob_given(*run.inputs) for run in (ours, julias))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    found, expected = (run.network.sample_given(3, run.inputs[1][..., :1], seed=1) for run in (ours, julias))
    assert_close(found, expected, 1e-9, "sample")


@pytest.fixture
def banana(engine):
    """A network that a few updates have moved away from its start."""
    G = inv.NetworkConditionalHINT(2, 8, 3, k1=1, k2=1, p1=0, p2=0, engine=engine, seed=1)
    X = inv.sample_banana(1000, seed=1, engine="numpy")
    Y = X + np.random.default_rng(2).standard_normal((1000, 2, 1, 1), dtype=np.float32).T
    opt = inv.Adam(1e-2)
    for _ in range(20):
        Zx, Zy, _ = G.forward(X, Y)
        G.backward(Zx / 1000, Zy / 1000, Zx, Zy)
        opt.update(G)
        inv.clear_grad(G)
    return G.astype(np.float64), np.asfortranarray(Y[..., :1], np.float64)


def test_the_density_integrates_to_one(banana):
    G, y = banana
    nodes = np.linspace(-30, 30, 601), np.linspace(-60, 60, 1201)
    points = np.stack(np.meshgrid(*nodes, indexing="ij")).reshape(1, 1, 2, -1)
    log_prob = G.log_prob_given(np.asfortranarray(points), y, batch_size=100_000)
    assert np.exp(log_prob).sum() * 0.1 * 0.1 == pytest.approx(1, abs=1e-3)


def test_samples_follow_the_density(banana):
    """The mean over samples of p0(x) / p(x | y) is one for whatever density p0, here a Gaussian inside the samples."""
    G, y = banana
    X = G.sample_given(20_000, y, seed=5)
    middle, scale = np.median(X, axis=-1, keepdims=True), 0.3 * X.std(axis=-1, keepdims=True)
    standard = (X - middle) / scale
    log_p0 = -(standard**2).sum(axis=(0, 1, 2)) / 2 - math.log(2 * math.pi) - np.log(scale).sum()
    ratio = np.exp(log_p0 - G.log_prob_given(X, y))
    assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / math.sqrt(len(ratio)))
    assert ratio.std() / math.sqrt(len(ratio)) < 0.02


class TestErrors:
    @pytest.fixture
    def G(self, engine):
        return CASES["NetworkConditionalHINT"].network(engine)

    def test_arrays(self, G):
        X, Y = CASES["NetworkConditionalHINT"].inputs()
        three = np.asfortranarray(np.repeat(Y[..., :1], 3, axis=-1))
        with pytest.raises(ValueError, match="sample_given: Y must have one sample, or n = 2"):
            G.sample_given(2, three)
        with pytest.raises(ValueError, match="log_prob_given: X and Y must belong to the same batch"):
            G.log_prob_given(X, three)
        with pytest.raises(TypeError, match="sample_given: Y must be float64"):
            G.sample_given(2, Y.astype(np.float32))
        with pytest.raises(ValueError, match="n must be a positive integer, got 0"):
            G.sample_given(0, Y)

    def test_networks(self, engine):
        fresh = inv.NetworkConditionalHINT(4, 4, 2, engine=engine, seed=1)
        X = np.ones((2, 2, 4, 1), np.float32, order="F")
        for call in (lambda: fresh.sample_given(2, X), lambda: fresh.log_prob_given(X, X)):
            with pytest.raises(ValueError, match=r"_given: AN_X\[1\].s is not initialised; call forward"):
                call()
        untracked = inv.ConditionalLayerHINT(4, 4, logdet=False, engine=engine, seed=1)
        with pytest.raises(ValueError, match="keeps no log-determinant"):
            untracked.log_prob_given(X, X)
        assert untracked.sample_given(2, X, seed=1).shape == (2, 2, 4, 2)
