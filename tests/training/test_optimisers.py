"""Optimisers in a user's own loop."""

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


class TestAdam:
    def test_arithmetic(self, engine):
        """Against Kingma and Ba's algorithm 1, written out here."""
        C = inv.Conv1x1(4, engine=engine, seed=1).astype(float)
        X = batch(0, (2, 2, 4, 3)).astype(float)
        opt = inv.Adam(0.1, beta=(0.8, 0.95), epsilon=1e-3)
        expected = {p.name: p.data.copy() for p in inv.get_params(C)}
        m = dict.fromkeys(expected, 0.0)
        v = dict(m)
        for t in range(1, 4):
            Y = C.forward(X)
            inv.clear_grad(C)
            C.backward(np.ones_like(Y), Y)
            for p in inv.get_params(C):
                g = p.grad
                m[p.name] = 0.8 * m[p.name] + 0.2 * g
                v[p.name] = 0.95 * v[p.name] + 0.05 * g**2
                step = (m[p.name] / (1 - 0.8**t)) / (np.sqrt(v[p.name] / (1 - 0.95**t)) + 1e-3)
                expected[p.name] = expected[p.name] - 0.1 * step
            opt.update(C)
            for p in inv.get_params(C):
                np.testing.assert_allclose(p.data, expected[p.name], rtol=1e-12)

    def test_some_parameters(self, G):
        Z, _ = G.forward(batch())
        G.backward(Z, Z)
        before = G.state_dict()
        chosen = [p for p in inv.get_params(G) if p.name.startswith("AN")]
        inv.Adam(0.1).update(chosen)
        for p in inv.get_params(G):
            assert (p.data != before[p.name]).any() == p.name.startswith("AN"), p.name

    def test_without_gradients(self, G):
        before = G.state_dict()
        opt = inv.Adam()
        with pytest.raises(ValueError, match=r"AN\[1,1\]\.s has no gradient; call backward first"):
            opt.update(G)
        Z, _ = G.forward(batch())
        G.backward(Z, Z)
        inv.named_params(G)["CL[1,2].RB.b2"].grad = None
        with pytest.raises(ValueError, match=r"CL\[1,2\]\.RB\.b2 has no gradient"):
            opt.update(G)
        assert all((p.data == before[p.name]).all() for p in inv.get_params(G))

    def test_two_networks_at_once(self, G, engine):
        other = inv.Conv1x1(3, engine=engine)
        with pytest.raises(ValueError, match="several networks"):
            inv.Adam().update([inv.get_params(G)[0], inv.get_params(other)[0]])

    def test_follows_a_change_of_type(self, G):
        opt = inv.Adam()
        for dtype in (np.float32, np.float64):
            Z, _ = G.astype(dtype).forward(batch().astype(dtype))
            G.backward(Z, Z)
            opt.update(G)
        assert all(np.isfinite(p.data).all() for p in inv.get_params(G))


def update(G, opt, X):
    Z, _ = G.forward(X)
    inv.clear_grad(G)
    G.backward(Z / X.shape[-1], Z)
    opt.update(G)


class TestDecay:
    @pytest.mark.parametrize("make", [lambda G: G, lambda G: inv.Sequential(G)], ids=["alone", "in a composite"])
    def test_frozen_parameters_do_not_decay(self, make, engine):
        """Householder vectors that shrank would underflow in the end, and all would be NaN."""
        G = make(inv.NetworkGlow(3, 4, 1, 2, freeze_conv=True, engine=engine, seed=1))
        opt = inv.AdamW(0.01, decay=0.9)
        G.forward(batch())
        before = G.state_dict()
        for seed in range(60):
            update(G, opt, batch(seed))
        after = G.state_dict()
        for name in before:
            frozen = ".C." in name
            assert (before[name] == after[name]).all() == frozen, name
        assert np.isfinite(G.forward(batch())[1])

    def test_parameters_that_are_not_frozen_do(self, engine):
        C = inv.Conv1x1(4, engine=engine, seed=1)
        X = batch(0, (2, 2, 4, 3))
        before = [np.linalg.norm(p.data) for p in inv.get_params(C)]
        for _ in range(10):
            Y = C.forward(X)
            inv.clear_grad(C)
            C.backward(np.zeros_like(Y), Y)
            inv.AdamW(0.01, decay=0.1).update(C)
        after = [np.linalg.norm(p.data) for p in inv.get_params(C)]
        np.testing.assert_allclose(after, 0.9**10 * np.array(before), rtol=1e-5)

    def test_weight_decay_is_pytorchs(self, engine):
        """In proportion to the learning rate, which may change meanwhile."""
        torch = pytest.importorskip("torch")
        C = inv.Conv1x1(4, engine=engine, seed=1).astype(float)
        X = batch(0, (2, 2, 4, 3)).astype(float)
        ours = inv.AdamW(0.1, weight_decay=0.3)
        theirs = [torch.tensor(p.data.copy(), requires_grad=True) for p in inv.get_params(C)]
        pytorchs = torch.optim.AdamW(theirs, lr=0.1, weight_decay=0.3)
        for rate in (0.1, 0.05, 0.02):
            Y = C.forward(X)
            inv.clear_grad(C)
            C.backward(np.ones_like(Y), Y)
            for own, p in zip(theirs, inv.get_params(C), strict=True):
                own.grad = torch.tensor(p.grad.copy())
            ours.learning_rate = pytorchs.param_groups[0]["lr"] = rate
            ours.update(C)
            pytorchs.step()
        for own, p in zip(theirs, inv.get_params(C), strict=True):
            np.testing.assert_allclose(p.data, own.detach().numpy(), rtol=1e-10)

    def test_one_of_both(self):
        with pytest.raises(ValueError, match="give decay.*or weight_decay"):
            inv.AdamW(decay=0.1, weight_decay=0.1)
        with pytest.raises(ValueError, match="weight_decay must be a finite number"):
            inv.AdamW(weight_decay=-1)
        for opt in (inv.AdamW(weight_decay=0.1), inv.AdamW(decay=np.float32(0.5))):
            assert repr(eval(repr(opt), vars(inv))) == repr(opt) and "np." not in repr(opt)


class TestPickle:
    @pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
    @pytest.mark.parametrize("make", [inv.Adam, lambda: inv.SGD(0.01, 0.9)])
    def test_with_the_network_that_it_trains(self, make, copied, engine):
        """Both go on as if they were the ones that were copied."""
        G, opt = inv.NetworkGlow(3, 4, 1, 2, engine=engine, seed=1), make()
        for seed in range(3):
            update(G, opt, batch(seed))
        H, other = copied((G, opt))
        for seed in range(3, 6):
            update(G, opt, batch(seed))
            update(H, other, batch(seed))
        for p, q in zip(inv.get_params(G), inv.get_params(H), strict=True):
            np.testing.assert_array_equal(p.data, q.data)

    def test_alone(self, G):
        opt = inv.Adam(0.5)
        update(G, opt, batch())
        assert repr(pickle.loads(pickle.dumps(opt))) == repr(opt)
