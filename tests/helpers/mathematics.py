"""Checks of a network against mathematics alone; a mutation test sees each of them fail."""

from __future__ import annotations

import numpy as np

import pyinvnets as inv
from pyinvnets.validation.cases import as_tuple


def forward(network, X):
    """Latent and log-determinant, zero where the network has none."""
    Z, *rest = as_tuple(network.forward(X))
    return Z, (rest[0] if rest else 0.0)


def shaped(vector, shape):
    return np.asfortranarray(vector.reshape(shape, order="F"))


def check_log_determinant(network, X, step=1e-6):
    """The log-determinant against that of the Jacobian by central differences; its mean over the batch."""
    _, lgdet = forward(network, X)
    flat = X.ravel(order="F")
    columns = []
    for i in range(flat.size):
        ends = []
        for sign in (1, -1):
            moved = flat.copy()
            moved[i] += sign * step
            ends.append(forward(network, shaped(moved, X.shape))[0].ravel(order="F"))
        columns.append((ends[0] - ends[1]) / (2 * step))
    expected = np.linalg.slogdet(np.stack(columns, axis=1))[1] / X.shape[-1]
    assert abs(lgdet - expected) < 1e-6 * max(1.0, abs(expected)), f"log-determinant {lgdet}, expected {expected}"


def slope(objective, gradient_along, steps=2.0 ** -np.arange(16, 20)):
    """The order at which the first-order Taylor remainder vanishes: two where the gradient is right, else one.

    The steps are small, so that hardly any ReLU changes sides within them.
    """
    start = objective(0.0)
    remainders = [abs(objective(h) - start - h * gradient_along) for h in steps]
    if max(remainders) < 1e-13 * max(1.0, abs(start)):
        return 2.0  # The objective is linear along this direction, and the gradient exact.
    return np.polyfit(np.log(steps), np.log(remainders), 1)[0]


def assert_second_order(found, what):
    assert abs(found - 2) <= 0.1, f"Taylor remainder of {what} has slope {found:.3f}, expected 2"


def check_gradients(network, X, rng):
    """Taylor tests of `sum(C * Z) - lgdet` in the input, and in each kind of parameter on its own."""
    Z, _ = forward(network, X)
    C = np.asfortranarray(rng.standard_normal(Z.shape))

    def objective(X):
        Z, lgdet = forward(network, X)
        return float((C * Z).sum()) - lgdet

    for p in inv.get_params(network):
        p.grad = None
    dX, _ = network.backward(C, Z)
    direction = np.asfortranarray(rng.standard_normal(X.shape))
    found = slope(lambda h: objective(X + h * direction), float((dX * direction).sum()))
    assert_second_order(found, "the input")

    kinds = sorted({p.name.rpartition(".")[2] for p in inv.get_params(network)})
    for kind in kinds:
        chosen = [p for p in inv.get_params(network) if p.name.rpartition(".")[2] == kind]
        originals = [p.data.copy() for p in chosen]
        directions = [rng.standard_normal(p.shape) for p in chosen]
        along = sum(float((p.grad * d).sum()) for p, d in zip(chosen, directions, strict=True))

        def moved(h, chosen=chosen, originals=originals, directions=directions):
            for p, original, d in zip(chosen, originals, directions, strict=True):
                p.data = original + h * d
            return objective(X)

        found = slope(moved, along)
        moved(0.0)
        assert_second_order(found, f"the parameters {kind}")


def check_round_trip(network, X, bound=1e-9):
    Z, _ = forward(network, X)
    error = np.abs(network.inverse(Z) - X).max()
    assert error < bound, f"inverse(forward(X)) is off by {error}"
