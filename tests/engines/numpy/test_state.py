"""How a call runs is known to that call alone: other threads, and what follows an interrupt, do not see it."""

from __future__ import annotations

import random
import sys
import threading
from functools import partial

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from helpers.interrupts import interrupted, lines


def noise(*shape, seed=0):
    return np.asfortranarray(np.random.default_rng(seed).standard_normal(shape))


def glow():
    return inv.NetworkGlow(2, 8, 2, 2, split_scales=True, engine="numpy", seed=1).astype(np.float64)


def hint():
    return inv.NetworkMultiScaleHINT(2, 4, 1, 2, engine="numpy", seed=1).astype(np.float64)


X = {glow: noise(4, 4, 2, 3), hint: noise(4, 4, 2, 3)}


def ready(make):
    """A network with gradients, its input and its latent."""
    G, x = make(), X[make]
    Z, _ = G.forward(x)
    G.backward(Z, Z)
    return G, x, Z


def everything(G, x, Z):
    """What the network holds, and what it gives."""
    held = {f"{p.name} {part}": getattr(p, part).copy() for p in inv.get_params(G) for part in ("data", "grad")}
    results = G.forward(x)
    assert isinstance(results[1], float)
    adjoint = G.adjoint_jacobian(Z, Z)
    return [*held.values(), results[0], np.float64(results[1]), G.log_prob(x), adjoint[0], *adjoint[1].values()]


def at_once(*calls):
    """Run the calls in a thread each, and raise what one raised."""
    errors = []

    def run(call):
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.fixture
def switching():
    """Python changes threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("make", [glow, hint])
def test_two_threads(make, switching):
    G, x, Z = ready(make)
    before = everything(G, x, Z)
    log_prob, adjoint = G.log_prob(x), G.adjoint_jacobian(Z, Z)[1]

    def densities():
        for _ in range(200):
            np.testing.assert_array_equal(G.log_prob(x), log_prob)

    def adjoints():
        for _ in range(200):
            for name, gradient in G.adjoint_jacobian(Z, Z)[1].items():
                np.testing.assert_array_equal(gradient, adjoint[name], name)

    at_once(densities, adjoints)
    for got, expected in zip(everything(G, x, Z), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_two_threads_along_directions(switching):
    G, x, _ = ready(glow)
    directions = [{p.name: noise(*p.shape, seed=seed) for p in inv.get_params(G)} for seed in range(2)]
    expected = [G.jacobian(x, direction, x)[0] for direction in directions]

    def derivatives(i):
        for _ in range(200):
            np.testing.assert_array_equal(G.jacobian(x, directions[i], x)[0], expected[i])

    at_once(lambda: derivatives(0), lambda: derivatives(1))


def test_two_first_forwards(switching):
    """ActNorm is set by one of the two batches."""
    batches = [noise(4, 4, 2, 30, seed=seed) * (1 + seed) for seed in range(2)]
    alone = []
    for batch in batches:
        G = glow()
        G.forward(batch)
        alone.append(G.state_dict())
    for _ in range(100):
        G = glow()
        at_once(*(partial(G.forward, batch) for batch in batches))
        state = G.state_dict()
        assert any(all((state[name] == one[name]).all() for name in state) for one in alone)


@pytest.mark.parametrize("make", [glow, hint])
@pytest.mark.parametrize("method", ["log_prob", "adjoint_jacobian", "jacobian", "inverse"])
def test_interrupts(make, method):
    G, x, Z = ready(make)
    direction = {p.name: noise(*p.shape) for p in inv.get_params(G)}
    arguments = {"log_prob": (x,), "adjoint_jacobian": (Z, Z), "jacobian": (x, direction, x), "inverse": (Z,)}[method]
    before = everything(G, x, Z)

    def call():
        getattr(G, method)(*arguments)

    count = lines(call)
    rng = random.Random(3)
    hit = sum(interrupted(call, rng.randint(1, count)) for _ in range(60))
    assert hit > 50
    for got, expected in zip(everything(G, x, Z), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_an_interrupted_gradient_of_a_shared_block():
    """Gradients of all uses of a shared block are summed for `adjoint_jacobian` alone."""
    G, _, Z = ready(hint)
    own = {p.name: p.grad.copy() for p in inv.get_params(G)}
    G.adjoint_jacobian(Z, Z)
    G.backward(Z, Z)
    for p in inv.get_params(G):
        if ".v" not in p.name:  # The 1x1 convolutions' are added up.
            assert_close(p.grad, own[p.name], 1e-12, p.name)
