"""GLOW and its layers against mathematics that knows nothing of Julia."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyinvnets as inv
from helpers.mathematics import check_gradients, check_log_determinant, check_round_trip
from helpers.strategies import glows

SMALL = {
    "ActNorm": (lambda **kw: inv.ActNorm(3, logdet=True, **kw), (3, 2, 3, 2)),
    "Conv1x1": (lambda **kw: inv.Conv1x1(4, **kw), (2, 3, 4, 2)),
    "Coupling": (lambda **kw: inv.CouplingLayerGlow(4, 5, logdet=True, **kw), (3, 2, 4, 2)),
    "Coupling, odd channels": (lambda **kw: inv.CouplingLayerGlow(5, 4, logdet=True, **kw), (3, 2, 5, 2)),
    "Coupling, dense": (lambda **kw: inv.CouplingLayerGlow(3, 4, dense=True, nx=3, logdet=True, **kw), (3, 3, 4)),
    "Coupling, ExpClamp": (
        lambda **kw: inv.CouplingLayerGlow(4, 5, logdet=True, activation=inv.ExpClampLayer(), **kw),
        (3, 2, 4, 2),
    ),
    "Coupling, Sigmoid2": (
        lambda **kw: inv.CouplingLayerGlow(4, 5, logdet=True, activation=inv.Sigmoid2Layer(), **kw),
        (3, 2, 4, 2),
    ),
    "Coupling, low and high": (
        lambda **kw: inv.CouplingLayerGlow(4, 5, logdet=True, activation=inv.SigmoidLayer(0.5, 3.0), **kw),
        (3, 2, 4, 2),
    ),
    "Coupling, stride": (
        lambda **kw: inv.CouplingLayerGlow(4, 5, k1=2, p1=0, s1=2, logdet=True, **kw),
        (4, 4, 4, 1),
    ),
    "Coupling, wide inner kernel": (
        lambda **kw: inv.CouplingLayerGlow(4, 5, k2=3, p2=1, logdet=True, **kw),
        (3, 2, 4, 2),
    ),
    "Coupling, 3-D": (lambda **kw: inv.CouplingLayerGlow(2, 3, logdet=True, ndims=3, **kw), (2, 2, 3, 2, 1)),
    "Glow": (lambda **kw: inv.NetworkGlow(3, 4, 2, 2, **kw), (2, 3, 3, 2)),
    "Glow, one pixel": (lambda **kw: inv.NetworkGlow(2, 4, 1, 3, **kw), (1, 1, 2, 6)),
    "Glow, split": (lambda **kw: inv.NetworkGlow(2, 4, 2, 2, split_scales=True, **kw), (4, 4, 2, 2)),
    "Glow, one channel": (lambda **kw: inv.NetworkGlow(1, 4, 2, 1, **kw), (4, 4, 1, 2)),
    "Glow, Haar": (
        lambda **kw: inv.NetworkGlow(1, 4, 1, 2, split_scales=True, squeezer=inv.HaarLayer(), **kw),
        (4, 2, 1, 3),
    ),
    "Glow, wavelet": (
        lambda **kw: inv.NetworkGlow(1, 4, 1, 2, split_scales=True, squeezer=inv.WaveletLayer(), **kw),
        (4, 2, 1, 3),
    ),
    "Glow, 1-D": (lambda **kw: inv.NetworkGlow(2, 4, 2, 1, split_scales=True, ndims=1, **kw), (8, 2, 2)),
    "Glow, dense and split": (
        lambda **kw: inv.NetworkGlow(2, 3, 1, 2, split_scales=True, dense=True, nx=4, ndims=1, **kw),
        (4, 2, 4),
    ),
    "Glow, no log-determinant": (lambda **kw: inv.NetworkGlow(3, 4, 1, 2, logdet=False, **kw), (2, 3, 3, 2)),
}
NO_DETERMINANT = {"Glow, no log-determinant"}


def made(name, engine):
    """A network in float64, the same on each engine, with ActNorm set and no parameter at a special initial value,
    and a batch."""
    make, shape = SMALL[name]
    network = make(engine=engine).astype(np.float64)
    network.load_state_dict(make(engine="numpy", seed=3).state_dict())
    rng = np.random.default_rng(4)
    network.forward(np.asfortranarray(rng.standard_normal(shape)))
    for p in inv.get_params(network):
        p.data = p.data + 0.1 * rng.standard_normal(p.shape)
    return network, np.asfortranarray(rng.standard_normal(shape)), rng


@pytest.mark.parametrize("name", SMALL)
def test_round_trip(name, engine):
    network, X, _ = made(name, engine)
    check_round_trip(network, X)


@pytest.mark.parametrize("name", sorted(set(SMALL) - NO_DETERMINANT))
def test_log_determinant(name, engine):
    network, X, _ = made(name, engine)
    check_log_determinant(network, X)


@pytest.mark.parametrize("name", SMALL)
def test_gradients(name, engine):
    check_gradients(*made(name, engine))


class TestMutations:
    """Each check fails where the engine is wrong by a sign."""

    def test_gradient_of_a_weight(self, monkeypatch):
        from pyinvnets.engines.numpy.networks.residual import ResidualBlock

        right = ResidualBlock.backward

        def wrong(self, delta, saved, run):
            dx = right(self, delta, saved, run)
            run.gradients.get(self.W2)[...] *= -1
            return dx

        monkeypatch.setattr(ResidualBlock, "backward", wrong)
        with pytest.raises(AssertionError, match="parameters W2"):
            check_gradients(*made("Glow", "numpy"))

    def test_gradient_of_the_input(self, monkeypatch):
        from pyinvnets.engines.numpy.networks.residual import ResidualBlock

        right = ResidualBlock.backward
        monkeypatch.setattr(ResidualBlock, "backward", lambda self, *given: -right(self, *given))
        with pytest.raises(AssertionError, match="the input"):
            check_gradients(*made("Coupling", "numpy"))

    @pytest.mark.parametrize("module", ["coupling_glow"])
    def test_log_determinant(self, monkeypatch, module):
        from pyinvnets.engines.numpy.networks import glow as coupling_glow

        right = coupling_glow.log_determinants
        monkeypatch.setattr(coupling_glow, "log_determinants", lambda scale: -right(scale))
        network, X, rng = made("Glow", "numpy")
        with pytest.raises(AssertionError, match="log-determinant"):
            check_log_determinant(network, X)
        with pytest.raises(AssertionError, match="Taylor"):
            check_gradients(network, X, rng)

    def test_round_trip(self, monkeypatch):
        from pyinvnets.engines.numpy.networks.conv1x1 import Conv1x1

        monkeypatch.setattr(Conv1x1, "inverse", Conv1x1.forward)
        network, X, _ = made("Glow", "numpy")
        with pytest.raises(AssertionError, match="inverse"):
            check_round_trip(network, X)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(glows(), st.integers(0, 2**31))
def test_round_trip_of_any_glow(glow, seed):
    options, shape = glow
    G = inv.NetworkGlow(**options, engine="numpy", seed=seed).astype(np.float64)
    X = np.asfortranarray(np.random.default_rng(seed).standard_normal(shape))
    check_round_trip(G, X)
    Z = G.forward(X)[0] if options["logdet"] else G.forward(X)
    dX, X_again = G.backward(Z, Z)
    assert dX.shape == X.shape
    np.testing.assert_allclose(X_again, X, atol=1e-9)
