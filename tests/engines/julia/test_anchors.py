"""States that `forward` keeps for `backward`, on the Julia engine."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from pyinvnets.validation.cases import CASES, Run

pytestmark = pytest.mark.julia


def run(name, anchors):
    """All that a case's `forward` and `backward` give in 64 bits, and the network."""
    case = Run(CASES[name], "julia")
    case.network.anchors = anchors
    case.forward(case.inputs)
    d_inputs, inputs = case.backward()
    gradients = [p.grad.copy() for p in inv.get_params(case.network) if p.grad is not None]
    return [*d_inputs, *inputs, *gradients], case.network


def has_steps(name):
    return getattr(CASES[name].make(engine="julia", seed=1).model, "_has_steps", False)


@pytest.mark.parametrize("name", CASES)
def test_every_state_kept(name):
    """In 64 bits the gradients are those of upstream's way to rounding, and so is what else `backward` gives."""
    if not has_steps(name):
        pytest.skip("no steps")
    expected, network = run(name, None)
    assert network.drift < 1e-10
    for anchors in (1, "auto"):
        got, network = run(name, anchors)
        assert network.drift < 1e-10
        for ours, theirs in zip(got, expected, strict=True):
            assert_close(ours, theirs, 1e-8, "result")


def glow(K=16):
    return inv.NetworkGlow(2, 8, 1, K, engine="julia", seed=1)


def noise(*shape, seed=0):
    return np.asfortranarray(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def gradients(G, Z, residual):
    inv.clear_grad(G)
    G.backward(residual, Z)
    return np.concatenate([p.grad.ravel(order="F") for p in inv.get_params(G)])


def test_a_latent_of_another_forward():
    """It goes back upstream's way: so do latents after the parameters were changed."""
    G, X, other = glow(), noise(4, 4, 2, 3), noise(4, 4, 2, 3, seed=1)
    Z, _ = G.forward(X)
    G.anchors = None
    expected = gradients(G, Z, Z)
    G.anchors = 4
    G.forward(other)
    np.testing.assert_array_equal(gradients(G, Z, Z), expected)
    assert G.drift is None
    Z, _ = G.forward(X)
    gradients(G, Z.copy(order="F"), Z)
    assert G.drift < 1e-5
    Z, _ = G.forward(X)
    inv.get_params(G)[0].data[...] *= 1.5
    gradients(G, Z, Z)
    assert G.drift is None


def test_backward_begins_again_where_states_lie_too_far_apart():
    """The gradients are those of closer states, to the bit, and added to those that were there."""
    G, true, X = glow(96), glow(96), noise(8, 8, 2, 3)
    G.spacings = [96]
    Z, _ = G.forward(X)
    true.forward(X)
    got = G.backward(Z, Z)
    apart = G.model.anchors.spacing
    assert apart < 48 and G.drift < 1.2e-5
    true.anchors = apart
    Z, _ = true.forward(X)
    expected = true.backward(Z, Z)
    assert all(map(np.array_equal, got, expected))
    G.spacings = [96]
    G.forward(X)
    true.forward(X)
    G.backward(Z, Z)
    true.backward(Z, Z)
    for p, q in zip(inv.get_params(G), inv.get_params(true), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad, p.name)


def test_numbers_beside_the_numpy_engine():
    """The same weights drift alike, and their gradients agree where both keep states."""
    G = glow(96)
    X = noise(16, 16, 2, 4)
    Z, _ = G.forward(X)
    H = inv.NetworkGlow(2, 8, 1, 96, engine="numpy")
    H.load_state_dict(G.state_dict())
    H.forward(X)
    got, expected = gradients(G, Z, Z / 4), gradients(H, H.forward(X)[0], Z / 4)
    assert_close(got, expected, 1e-2, "gradients")
    assert G.model.anchors.size == H.model.anchors.size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        G.anchors = None
        G.forward(X)
        gradients(G, Z, Z / 4)
    assert G.drift > 1e-4
