"""The tutorial's training, update by update, from upstream's own start and data."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close, relative_error
from helpers.golden_files import Golden

BATCH = 150
LEARNING_RATE = float(np.float32(9e-4))
"""Upstream's `9f-4`."""


def train(G, X_train, updates, *, clear):
    l2, lgdet = np.empty(updates), np.empty(updates)
    opt = inv.Adam(LEARNING_RATE)
    for j in range(updates):
        X = X_train[..., j * BATCH : (j + 1) * BATCH]
        Z, lgdet[j] = G.forward(X)
        l2[j] = 0.5 * np.linalg.norm(Z) ** 2 / BATCH
        G.backward(Z / BATCH, Z)
        opt.update(G)
        if clear:
            inv.clear_grad(G)
    return l2, lgdet


def started(golden, dtype, engine):
    G = inv.NetworkGlow(2, 16, 1, 10, engine=engine)
    G.load_state_dict(golden.group("init"))
    return G.astype(dtype)


@pytest.mark.parametrize("way", ["published", "clear"])
def test_float64(way, engine):
    """400 updates. `published` never clears the gradients, as the tutorial's text: Conv1x1's pile up."""
    golden = Golden("tutorial_run_f8")
    X_train = Golden("tutorial_run_f4")["X_train"].astype(np.float64)
    G = started(golden, np.float64, engine)
    l2, lgdet = train(G, X_train, 400, clear=way == "clear")
    assert_close(l2, golden[f"{way}/l2"], 1e-9, "l2")
    assert_close(lgdet, golden[f"{way}/lgdet"], 1e-9, "log-determinant")
    params = inv.named_params(G)
    for name, expected in golden.group(f"{way}/param").items():
        assert_close(params[name].data, expected, 1e-8, name)
    assert_close(G.inverse(golden["Z_test"]), golden[f"{way}/X_test"], 1e-8, "samples")


@pytest.mark.parametrize("way", ["published", "clear"])
def test_float32(way, engine):
    """The first 50 updates: after that rounding, which differs between engines, has grown too far to compare."""
    golden = Golden("tutorial_run_f4")
    l2, lgdet = train(started(golden, np.float32, engine), golden["X_train"], 50, clear=way == "clear")
    assert_close(l2, golden[f"{way}/l2"][:50], 1e-3, "l2")
    assert_close(lgdet, golden[f"{way}/lgdet"][:50], 1e-3, "log-determinant")


def test_clearing_matters():
    """The two ways really differ, so the tests above cannot take one for the other."""
    golden = Golden("tutorial_run_f8")
    assert relative_error(golden["published/l2"], golden["clear/l2"]) > 0.1
    assert (
        golden["clear/l2"][-1] - golden["clear/lgdet"][-1]
        < 1.0
        < golden["published/l2"][-1] - golden["published/lgdet"][-1]
    )


def test_a_loop_over_the_parameters_is_the_same(engine):
    """`for p in get_params(G): opt.update(p)`, as the tutorial writes it, equals one update of the network."""
    golden = Golden("tutorial_run_f8")
    X = Golden("tutorial_run_f4")["X_train"].astype(np.float64)[..., :BATCH]
    networks = [started(golden, np.float64, engine) for _ in range(2)]
    optimisers = [inv.Adam(LEARNING_RATE) for _ in networks]
    for _ in range(3):
        for G in networks:
            Z, _ = G.forward(X)
            G.backward(Z / BATCH, Z)
        optimisers[0].update(networks[0])
        for p in inv.get_params(networks[1]):
            optimisers[1].update(p)
    for p, q in zip(*map(inv.get_params, networks), strict=True):
        assert_close(q.data, p.data, 1e-14, p.name)
