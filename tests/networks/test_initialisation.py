"""Initial weights for deep networks."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv

NETWORKS = {
    "glow": lambda engine: inv.NetworkGlow(2, 8, 1, 64, engine=engine, seed=1),
    "split": lambda engine: inv.NetworkGlow(2, 8, 2, 32, split_scales=True, engine=engine, seed=1),
    "hint": lambda engine: inv.NetworkMultiScaleHINT(1, 8, 1, 64, engine=engine, seed=1),
    "sequential": lambda engine: inv.Sequential(*[inv.NetworkGlow(2, 8, 1, 32, engine=engine, seed=i) for i in (1, 2)]),
}


def batch(network, seed):
    shape = (16, network.signature.data.channels, 8, 8)
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32).T


def distance(network):
    """By how much the log-densities of other data differ from those of a Gaussian, in nats for each element."""
    network.forward(batch(network, 0))
    X = batch(network, 1)
    elements = X.size / X.shape[-1]
    gaussian = -0.5 * (X**2).sum((0, 1, 2)) - elements / 2 * np.log(2 * np.pi)
    return np.abs(network.log_prob(X) - gaussian).mean() / elements


@pytest.mark.parametrize("name", NETWORKS)
def test_a_deep_network_begins_close_to_a_gaussian(name, engine):
    """The last coupling layers halve half of the channels, and no ActNorm comes after them."""
    network = NETWORKS[name](engine)
    assert inv.begin_near_identity(network) is network
    assert distance(network) < 0.25
    assert distance(NETWORKS[name](engine)) > 2
    Z, *_ = network.forward(batch(network, 0))
    network.anchors = None
    _, X = network.backward(Z, Z)
    np.testing.assert_allclose(X, batch(network, 0), atol=1e-4)


def test_it_trains(engine):
    network = inv.begin_near_identity(inv.NetworkGlow(2, 8, 1, 8, engine=engine, seed=1))
    X = inv.sample_banana(400, seed=1, engine="numpy")
    history = inv.fit(network, X, epochs=20, batch_size=50, learning_rate=1e-2, seed=1, progress=False)
    assert history.validation[-1] < history.validation[0] - 0.3


DENSE = inv.NetworkGlow(2, 2, 1, 1, nx=4, dense=True, engine="numpy")


@pytest.mark.parametrize("network", [inv.ActNorm(2, engine="numpy"), DENSE])
def test_without_convolutional_coupling_layers(network):
    with pytest.raises(ValueError, match="begin_near_identity: expected a network with convolutional coupling layers"):
        inv.begin_near_identity(network)
