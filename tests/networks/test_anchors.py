"""Anchors of networks that are made of others, run the other way, copied, or part of an autograd graph."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import pyinvnets as inv

X = np.asfortranarray(np.random.default_rng(0).standard_normal((8, 8, 2, 4), dtype=np.float32))
Y = np.asfortranarray(np.random.default_rng(1).standard_normal((8, 8, 2, 4), dtype=np.float32))


def glow(engine, seed=1, K=48):
    return inv.NetworkGlow(2, 16, 1, K, engine=engine, seed=seed)


def actnorm(engine):
    return inv.ActNorm(2, logdet=True, engine=engine)


def conditional(engine, K=96):
    return inv.NetworkConditionalGlow(2, 2, 16, 1, K, engine=engine, seed=1)


def layers(engine):
    couplings = [inv.CouplingLayerGlow(2, 16, logdet=True, engine=engine, seed=i) for i in range(96)]
    return inv.Sequential(*[layer for coupling in couplings for layer in (actnorm(engine), coupling)])


def summarized(engine):
    return inv.SummarizedNet(conditional(engine), inv.ResidualBlock(2, 8, engine=engine, seed=1))


DEEP = {
    "networks": (lambda e: inv.Sequential(glow(e), actnorm(e), glow(e, 2)), 1),
    "layers": (layers, 1),
    "nested": (lambda e: inv.Sequential(inv.Sequential(glow(e)), inv.Sequential(glow(e, 2))), 1),
    "summarized": (summarized, 2),
    "conditional": (conditional, 2),
    "spline": (lambda e: inv.NetworkSpline(2, 16, 1, 96, engine=e, seed=1), 1),
    "split": (lambda e: inv.NetworkGlow(2, 16, 2, 48, split_scales=True, engine=e, seed=1), 1),
}


def gradients(G, arrays, logdets_of_samples=False):
    """Of the negative log-likelihood, in one vector."""
    inv.clear_grad(G)
    results = (G.forward_by_sample if logdets_of_samples else G.forward)(*arrays)
    latents, condition = results[:1], results[1:-1]
    G.pull_back((latents[0] / arrays[0].shape[-1],), latents, condition, arrays)
    return np.concatenate([p.grad.ravel().astype(np.float64) for p in inv.get_params(G)])


def exact(G, arrays):
    """The same in 64 bits, with every state kept."""
    H = copy.deepcopy(G)
    H.astype(np.float64)
    H.anchors = 1
    return gradients(H, tuple(array.astype(np.float64) for array in arrays))


def error(got, true):
    return np.linalg.norm(got - true) / np.linalg.norm(true)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", DEEP)
def test_deep_networks(name, reverse, engine):
    make, count = DEEP[name]
    G, arrays = make(engine), (X, Y)[:count]
    latent, *_ = G.forward(*arrays)
    if reverse:
        G, arrays = inv.reverse(G), (latent, *arrays[1:])
    true = exact(G, arrays)
    of_anchors = {}
    for anchors in (1, "auto", None):
        G.anchors = anchors
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if anchors is None else "error", RuntimeWarning)
            of_anchors[anchors] = error(gradients(G, arrays), true)
            if anchors == "auto":
                assert G.drift < 1.2e-5
                assert error(gradients(G, arrays, logdets_of_samples=True), true) < 1.5 * of_anchors[1]
    assert of_anchors["auto"] < 1.5 * of_anchors[1]


@pytest.mark.parametrize("name", DEEP)
def test_drift_without_anchors(name, engine):
    make, count = DEEP[name]
    G = make(engine)
    G.anchors = None
    G.forward(X, *(Y,) * (count - 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        gradients(G, (X, Y)[:count])
    assert (G.drift > 1e-3) == (name != "spline")


def test_a_loop_is_warned_once(engine):
    G = glow(engine, K=96)
    G.anchors = None
    Z, _ = G.forward(X)
    with pytest.warns(RuntimeWarning, match='NetworkGlow.backward: .* is off by .*; write G.anchors = "auto"'):
        G.backward(Z, Z)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        G.forward(X)
        G.backward(Z, Z)


def test_a_reversed_network_and_copies_have_the_anchors(engine):
    one = inv.Sequential(glow(engine))
    for G in (glow(engine), one, inv.Sequential(one)):
        assert G.anchors == "auto"
        for anchors in (3, None):
            G.anchors = anchors
            copies = (inv.reverse(G), inv.reverse(G, copy=False), copy.deepcopy(G), pickle.loads(pickle.dumps(G)))
            assert [H.anchors for H in copies] == [anchors] * 4
            assert all(H.model.anchors.spacing == (anchors or 8) for H in copies)


def test_what_is_kept_is_freed(engine):
    G = inv.Sequential(glow(engine, K=12), actnorm(engine), glow(engine, K=12))
    Z, _ = G.forward(X)
    # Of each network its input and the state after step 8, and what goes from one part to the next.
    assert G.model.anchors.size == 6 * X.nbytes
    G.log_prob(X)
    assert G.model.kept is not None
    G.backward(Z, Z)
    assert G.model.kept is None
    assert len(G.model._all_kept) == 0
    assert all(part.model.kept is None for part in G.model.parts.values())


def test_evaluations_keep_nothing(engine):
    G = conditional(engine, K=12)
    Z, C, _ = G.forward(X, Y)
    G.backward(Z, Z, C)
    G.log_prob(X, Y)
    G.condition_for_inverse(Y)
    assert G.model.kept is None


def test_flow_modules(engine):
    """Each graph holds the states of its own forward; without a graph none are held."""
    torch = pytest.importorskip("torch")
    from pyinvnets.torch import FlowModule

    x, y = torch.from_numpy(X.T.copy()), torch.from_numpy(Y.T.copy())
    network = glow(engine, K=96)
    flow = FlowModule(network)
    flow(x)
    true = copy.deepcopy(flow).double()
    true.network.anchors = 1

    def gradient(flow, x, y):
        flow.zero_grad()
        (-flow.log_prob(x).mean() - flow.log_prob(y).mean()).backward(retain_graph=True)
        return torch.cat([p.grad.flatten().double() for p in flow.parameters()]).numpy()

    expected = gradient(true, x.double(), y.double())
    off = error(gradient(flow, x, y), expected)
    assert network.model.kept is None and len(network.model._all_kept) == 0
    network.anchors = 1
    least = error(gradient(flow, x, y), expected)
    assert off < 1.5 * least
    network.anchors = None
    with pytest.warns(RuntimeWarning, match="is off by"):
        assert error(gradient(flow, x, y), expected) > 10 * least
    network.anchors = "auto"
    with torch.no_grad():
        flow(x)
    assert network.model.kept is None


def test_nothing_changes_without_drift(engine):
    """An additive network on whole numbers is inverted exactly."""
    rng = np.random.default_rng(1)
    G = inv.NetworkHyperbolic(4, ((0, 4),) * 6, engine=engine, seed=1)
    for p in inv.get_params(G):
        p.data = rng.integers(-1, 2, p.shape).astype(np.float32)
    arrays = [np.asfortranarray(rng.integers(-2, 3, (4, 4, 4, 2)).astype(np.float32)) for _ in range(2)]
    results = []
    for anchors in (None, 1, "auto"):
        G.anchors = anchors
        latents = G.forward(*arrays)[:2]
        inv.clear_grad(G)
        results.append([*G.backward(*latents, *latents), *(p.grad.copy() for p in inv.get_params(G))])
        assert G.drift == 0
    np.testing.assert_array_equal(results[0][2], arrays[0])
    for one, *others in zip(*results, strict=True):
        for other in others:
            np.testing.assert_array_equal(other, one)
