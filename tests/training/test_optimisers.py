"""Optimisers in a user's own loop."""

from __future__ import annotations

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
