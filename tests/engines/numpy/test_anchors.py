"""States that `forward` keeps for `backward`: true gradients at any depth, and nothing else changes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from pyinvnets.engines.numpy import model
from pyinvnets.validation.cases import CASES, Run

DEEP = (16, 16, 3, 4)


def noise(*shape, seed=0, dtype=np.float32):
    return np.asfortranarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def gradients(G, Z, residual):
    inv.clear_grad(G)
    G.backward(residual, Z)
    return np.concatenate([p.grad.ravel().astype(np.float64) for p in inv.get_params(G)])


def steps(name):
    case = CASES[name].make(engine="numpy", seed=1).model
    return isinstance(case, model.NumpyModel) and case._has_steps


STEPS = [name for name in CASES if steps(name)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", STEPS)
def test_every_state_kept(name, threads, monkeypatch):
    """In 64 bits the gradients are those of upstream's way to rounding, and so is what else `backward` gives."""
    monkeypatch.setattr(model, "LARGE", 0)
    inv.set_num_threads(threads)
    try:
        run, results = Run(CASES[name], "numpy"), {}
        for anchors in (None, 1):
            run.network.anchors = anchors
            run.forward(run.inputs)
            assert any(getattr(own, "kept", None) for own in run.network.model.kept.states) == (anchors == 1)
            d_inputs, inputs = run.backward()
            results[anchors] = [*d_inputs, *inputs, *(p.grad.copy() for p in inv.get_params(run.network))]
    finally:
        inv.set_num_threads(None)
    for got, expected in zip(results[1], results[None], strict=True):
        assert_close(got, expected, 1e-8, "result")


@pytest.mark.parametrize("name", STEPS)
def test_a_kept_state_takes_the_place_of_the_recomputed_one(name):
    """The input comes out as if it had gone from the kept state alone."""
    run = Run(CASES[name], "numpy")
    run.network.anchors = 1
    run.forward(run.inputs)
    for states in run.network.model.kept.states:
        for lane in states.kept[1]:
            lane[...] = 0
    with pytest.warns(RuntimeWarning, match="is off by"):
        _, inputs = run.backward()
    assert np.abs(inputs[0] - run.inputs[0]).max() > 0.01


@pytest.fixture(scope="module")
def deep():
    """A network of 96 steps with its input, and its true gradients, in 64 bits."""
    X = noise(*DEEP)
    G = inv.NetworkGlow(3, 64, 2, 48, split_scales=True, engine="numpy", seed=1)
    G.forward(X)
    H = inv.NetworkGlow(3, 64, 2, 48, split_scales=True, engine="numpy", seed=1).astype(np.float64)
    H.load_state_dict({name: value.astype(np.float64) for name, value in G.state_dict().items()})
    H.anchors = 1
    exact, _ = H.forward(X.astype(np.float64))
    return G, X, gradients(H, exact, exact / X.shape[-1])


def error(deep, anchors):
    G, X, true = deep
    G.anchors = anchors
    Z, _ = G.forward(X)
    return np.linalg.norm(gradients(G, Z, Z / X.shape[-1]) - true) / np.linalg.norm(true)


def test_deep_networks(deep):
    with pytest.warns(RuntimeWarning, match='these gradients are not to be trusted; write G.anchors = "auto"'):
        assert error(deep, None) > 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert error(deep, "auto") < 1e-2
        assert error(deep, 16) < 1e-2


def test_anchors_too_far_apart(deep):
    with pytest.warns(RuntimeWarning, match="G.anchors = 90 is too many steps"):
        error(deep, 90)


def test_a_latent_of_another_forward(deep):
    """It goes back upstream's way: so do latents after the parameters were changed."""
    G = inv.NetworkGlow(2, 8, 1, 12, engine="numpy", seed=1)
    X, other = noise(4, 4, 2, 3), noise(4, 4, 2, 3, seed=1)
    Z, _ = G.forward(X)
    G.anchors = None
    expected = gradients(G, Z, Z)
    G.anchors = 4
    G.forward(other)
    np.testing.assert_array_equal(gradients(G, Z, Z), expected)
    G.forward(X)
    Z[0, 0, 0, 0] += 1
    assert G.model._kept_of((Z, Z)) is None
    Z[0, 0, 0, 0] -= 1
    assert G.model._kept_of((Z, Z.copy(order="F"))) is not None
    inv.get_params(G)[0].data[...] *= 1.5
    assert G.model._kept_of((Z, Z)) is None


def test_memory_is_given_back():
    G = inv.NetworkGlow(2, 8, 1, 12, engine="numpy", seed=1)
    G.anchors = 4
    X = noise(4, 4, 2, 3)
    for _ in range(3):
        Z, _ = G.forward(X)
        (states,) = G.model.kept.states
        assert sorted(states.kept) == [4, 8, 12]
    G.adjoint_jacobian(Z, Z)
    assert G.model.kept is not None
    G.backward(Z, Z)
    assert G.model.kept is None


def test_backward_begins_again_where_states_lie_too_far_apart():
    """The gradients are those of closer states, to the bit, and added to those that were there."""
    G, true = (inv.NetworkGlow(2, 8, 1, 16, engine="numpy", seed=1) for _ in range(2))
    X = noise(4, 4, 2, 3)
    true.anchors = 2
    Z, _ = true.forward(X)
    expected = true.backward(Z, Z)
    assert np.array_equal(G.forward(X)[0], Z)
    (states,) = G.model.kept.states
    assert sorted(states.kept) == [8, 16]
    for lane in states.kept[8]:
        lane[...] *= 1.001
    got = G.backward(Z, Z)
    assert G.drift == true.drift < 1e-5
    assert all(map(np.array_equal, got, expected))
    for p, q in zip(inv.get_params(G), inv.get_params(true), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad, p.name)
    G.forward(X)
    (states,) = G.model.kept.states
    assert sorted(states.kept) == [*range(2, 17, 2)]
    for lane in states.kept[8]:
        lane[...] *= 1.001
    G.anchors, true.anchors = "auto", 1
    for network in (true, G):
        network.forward(X)
    (states,) = G.model.kept.states
    for lane in states.kept[8]:
        lane[...] *= -3
    G.backward(Z, Z)
    true.backward(Z, Z)
    for p, q in zip(inv.get_params(G), inv.get_params(true), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad, p.name)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "automatic"])
def test_bad_values(value):
    G = inv.NetworkGlow(2, 8, 1, 2, engine="numpy")
    with pytest.raises(ValueError, match='NetworkGlow: anchors must be a positive integer, "auto" or None, got'):
        G.anchors = value
    assert G.anchors == "auto"
