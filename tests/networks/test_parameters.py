"""Parameters and state: the public interface around the engines."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import pyinvnets as inv


@pytest.fixture
def G(engine):
    network = inv.NetworkGlow(3, 4, 1, 2, engine=engine, seed=1)
    network.forward(batch())
    return network


def batch(seed=0, shape=(4, 6, 3, 5)):
    return np.asfortranarray(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def test_views_are_live(G):
    X = batch(1)
    before, _ = G.forward(X)
    p = inv.named_params(G)["CL[1,1].RB.b1"]
    p.data[...] += 1
    after, _ = G.forward(X)
    assert np.abs(after - before).max() > 0.01
    assert (inv.named_params(G)["CL[1,1].RB.b1"].data == p.data).all()


def test_a_view_outlives_its_network(engine):
    G = inv.Conv1x1(3, engine=engine, seed=1)
    view = inv.get_params(G)[0].data
    values = view.copy()
    del G
    assert (view == values).all()


def test_assignment_copies_and_checks(G):
    p = inv.named_params(G)["CL[1,1].RB.W1"]
    values = np.ones(p.shape)
    p.data = values
    assert p.data.dtype == np.float32 and (p.data == 1).all()
    values[:] = 2
    assert (p.data == 1).all()
    with pytest.raises(ValueError, match=r"has shape \(3, 3, 1, 4\), got an array of shape \(2,\)"):
        p.data = np.ones(2)
    with pytest.raises(TypeError, match=r"takes no masked array; write .filled\(value\)"):
        p.data = np.ma.array(p.data)
    with pytest.raises(TypeError, match="array of floats"):
        p.data = 1.0
    with pytest.raises(TypeError, match="array of floats.*int64"):
        p.data = np.ones(p.shape, int)
    with pytest.raises(TypeError, match="array of floats.*NoneType"):
        p.data = None
    assert (p.data == 1).all()


def test_gradients_come_and_go(G):
    assert all(p.grad is None for p in inv.get_params(G))
    Z, _ = G.forward(batch())
    G.backward(Z, Z)
    assert all(p.grad.shape == p.shape for p in inv.get_params(G))
    inv.clear_grad(G)
    assert all(p.grad is None for p in inv.get_params(G))


def test_conv1x1_adds_to_its_gradients_and_nothing_else_does(G):
    Z, _ = G.forward(batch())
    G.backward(Z, Z)
    first = {p.name: p.grad.copy() for p in inv.get_params(G)}
    G.backward(Z, Z)
    for p in inv.get_params(G):
        factor = 2 if ".C." in p.name else 1
        np.testing.assert_allclose(p.grad, factor * first[p.name], rtol=1e-4, atol=1e-5, err_msg=p.name)


def test_state_dict_round_trip(G, engine):
    H = inv.NetworkGlow(3, 4, 1, 2, engine=engine, seed=2)
    H.load_state_dict(G.state_dict())
    X = batch(3)
    assert (G.forward(X)[0] == H.forward(X)[0]).all()
    for p in inv.get_params(H):
        assert not np.shares_memory(p.data, inv.named_params(G)[p.name].data)


def test_state_dict_of_a_network_never_used(engine):
    G, H = (inv.NetworkGlow(3, 4, 1, 2, engine=engine, seed=s) for s in (1, 2))
    state = G.state_dict()
    assert "AN[1,1].s" not in state
    H.forward(batch())
    H.load_state_dict(state)
    assert inv.named_params(H)["AN[1,1].s"].data is None
    assert (G.forward(batch())[0] == H.forward(batch())[0]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("CL[1,2].RB.W2"), r"missing: CL\[1,2\]\.RB\.W2"),
        (lambda s: s.pop("AN[1,1].s"), r"missing: AN\[1,1\]\.s"),
        (lambda s: s.update(extra=np.ones(1)), "unknown: extra"),
        (lambda s: s.update({"AN[1,1].s": np.ones(4)}), r"shape \(3,\), got an array of shape \(4,\)"),
    ],
)
def test_wrong_state_changes_nothing(G, change, message):
    state = G.state_dict()
    before = {k: v.copy() for k, v in state.items()}
    changed = {k: 0 * v for k, v in state.items()}
    change(changed)
    with pytest.raises(ValueError, match=message):
        G.load_state_dict(changed)
    for name, value in G.state_dict().items():
        assert (value == before[name]).all()


def test_set_params(G, engine):
    H = inv.NetworkGlow(3, 4, 1, 2, engine=engine, seed=2)
    inv.set_params(H, inv.get_params(G))
    assert all((value == G.state_dict()[name]).all() for name, value in H.state_dict().items())
    inv.set_params(H, [0 * p.data for p in inv.get_params(G)])
    assert all((value == 0).all() for value in H.state_dict().values())
    with pytest.raises(ValueError, match="20 parameters, got 1"):
        inv.set_params(H, inv.get_params(G)[:1])
    with pytest.raises(TypeError, match=r"CL\[1,1\]\.C\.v1 takes a NumPy array of floats.*got NoneType"):
        inv.set_params(H, [None] * 20)
    assert all((value == 0).all() for value in H.state_dict().values())


def test_astype(G):
    X = batch(2)
    Z, lgdet = G.forward(X)
    state = G.state_dict()
    assert G.astype("float64") is G and G.dtype == np.float64
    assert all((p.data == state[p.name]).all() and p.data.dtype == np.float64 for p in inv.get_params(G))
    Z64, lgdet64 = G.forward(X.astype(float))
    np.testing.assert_allclose(Z64, Z, rtol=1e-4, atol=1e-5)
    assert lgdet64 == pytest.approx(lgdet, rel=1e-5)
    with pytest.raises(TypeError, match="float32 or float64, got int32"):
        G.astype(np.int32)


def test_repr_evaluates_back(engine):
    G = inv.NetworkGlow(2, 16, 1, 10, engine=engine)
    assert repr(G) == f'NetworkGlow(n_in=2, n_hidden=16, L=1, K=10, engine="{engine}")'
    H = inv.NetworkGlow(
        1, 3, 2, 1, squeezer=inv.ShuffleLayer("patch"), activation=inv.SigmoidLayer(0.5, 1.0), engine=engine
    )
    again = eval(repr(H), vars(inv))
    assert repr(again) == repr(H)
    assert again.arguments == H.arguments


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda G: pickle.loads(pickle.dumps(G))], ids=["deepcopy", "pickle"])
def test_copies(clone, engine):
    G = inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine=engine, seed=1).astype(float)
    X = batch(0, (4, 8, 2, 3)).astype(float)
    Z, _ = G.forward(X)
    H = clone(G)
    assert H.engine == engine and H.dtype == np.float64
    np.testing.assert_allclose(H.inverse(Z), X, atol=1e-9)
    inv.get_params(H)[0].data[...] = 0
    assert (inv.get_params(G)[0].data != 0).any()


def test_seed(engine):
    G, H, other = (inv.NetworkGlow(2, 4, 1, 1, engine=engine, seed=s) for s in (5, 5, 6))
    for p, q, r in zip(*map(inv.get_params, (G, H, other)), strict=True):
        if p.data is not None and not p.name.endswith(("b1", "b2")):
            assert (p.data == q.data).all() and (p.data != r.data).any()


def test_initial_weights_are_glorot_uniform(engine):
    RB = inv.ResidualBlock(8, 64, engine=engine, seed=1)
    params = inv.named_params(RB)
    for name, fans in (("W1", 9 * (8 + 64)), ("W2", 9 * (64 + 64)), ("W3", 9 * (16 + 64))):
        values, limit = params[name].data, np.sqrt(6 / fans)
        assert np.abs(values).max() <= limit
        assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
    assert (params["b1"].data == 0).all() and (params["b2"].data == 0).all()


class TestMultiscale:
    """What upstream cannot: invert a network that was never forward, and other batch sizes."""

    def test_other_batch_sizes(self, engine):
        G = inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine=engine, seed=1)
        X = batch(0, (4, 8, 2, 6))
        G.forward(X)
        for n in (1, 4):
            Y = batch(n, (4, 8, 2, n))
            Z, _ = G.forward(Y)
            G.forward(X)
            np.testing.assert_allclose(G.inverse(Z), Y, atol=1e-4)

    def test_spatial(self, engine):
        G = inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine=engine, seed=1)
        X = batch(0, (4, 8, 2, 6))
        Z, _ = G.forward(X)
        assert G.spatial == (4, 8)
        H = inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine=engine, seed=2)
        H.load_state_dict(G.state_dict())
        with pytest.raises(ValueError, match=r"set spatial, such as G.spatial = \(64, 64\)"):
            H.inverse(Z)
        with pytest.raises(ValueError, match="multiples of 4.*got .4, 6."):
            H.spatial = (4, 6)
        H.spatial = (4, 8)
        np.testing.assert_allclose(H.inverse(Z), X, atol=1e-4)

    def test_spatial_elsewhere(self, engine):
        G = inv.NetworkGlow(2, 4, 1, 1, engine=engine, seed=1)
        assert G.spatial is None
        G.forward(batch(0, (4, 8, 2, 6)))
        assert G.spatial == (4, 8)
        with pytest.raises(ValueError, match="spatial must belong to an input of"):
            G.spatial = (4, 4, 4)


def test_results_are_column_major_and_own_their_memory(G):
    X = batch(1)
    Z, _ = G.forward(X)
    dX, X_again = G.backward(Z, Z)
    for array in (Z, dX, X_again, G.inverse(Z)):
        assert array.flags.f_contiguous
        assert (not np.shares_memory(array, X) and not np.shares_memory(array, Z)) or array is Z


def test_inputs_are_not_changed(G):
    X = batch(1)
    original = X.copy()
    X.flags.writeable = False
    Z, _ = G.forward(X)
    kept = Z.copy()
    G.inverse(Z)
    G.backward(Z, Z)
    assert (original == X).all() and (kept == Z).all()


def test_any_memory_order_is_taken(G):
    X = batch(1)
    Z, _ = G.forward(X)
    for same in (np.ascontiguousarray(X), X[::-1][::-1], np.repeat(X, 2, axis=0)[::2]):
        assert (G.forward(same)[0] == Z).all()
