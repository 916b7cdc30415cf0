"""What a type checker knows of a user's program; mypy reads it, nothing runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from typing_extensions import assert_type

import pyinvnets as inv


def training(X: np.ndarray, path: Path) -> inv.NetworkGlow:
    G = inv.NetworkGlow(2, 16, 1, 10, seed=1)
    optimiser = inv.Adam(9e-4)
    Z, lgdet = G.forward(X)
    assert_type(G.backward(Z, Z), tuple[np.ndarray, np.ndarray])
    print(f"{lgdet:.2f}")
    optimiser.update(G)
    for parameter in inv.get_params(G):
        assert_type(parameter, inv.Parameter)
    inv.clear_grad(G)
    history = inv.fit(G, X, epochs=3, batch_size=150)
    assert_type(history, inv.History)
    inv.save(G, path)
    return G


def kinds_are_kept(G: inv.NetworkGlow, path: Path) -> None:
    assert_type(G.astype(np.float64), inv.NetworkGlow)
    assert_type(G.cpu(), inv.NetworkGlow)
    assert_type(inv.load(path, kind=inv.NetworkGlow), inv.NetworkGlow)
    assert_type(inv.load(path, kind=inv.NetworkGlow).sample(10), np.ndarray)


def density(G: inv.NetworkGlow, X: np.ndarray) -> None:
    assert_type(G.forward(X), tuple[np.ndarray, float] | np.ndarray)
    assert_type(G.inverse(X), np.ndarray)
    assert_type(G.log_prob(X), np.ndarray)
    assert_type(G.sample(10, seed=1), np.ndarray)
    assert_type(G.state_dict(), dict[str, np.ndarray])


def mistakes(G: inv.NetworkGlow, X: np.ndarray) -> None:
    G.forward(X, X)  # type: ignore[call-arg]
    G.log_probability(X)  # type: ignore[attr-defined]
    inv.NetworkGlow(2, 16, 1, "10")  # type: ignore[arg-type]
    inv.ResidualBlock(2, 4).log_prob(X)  # type: ignore[attr-defined]
    print(inv.no_such_name)  # type: ignore[attr-defined]
    inv.load("weights", kind=dict)  # type: ignore[type-var]


def modules(rows: np.ndarray) -> None:
    inv.plotting.latent_qq(rows)
    assert_type(inv.VectorFlow(2).log_prob(rows), np.ndarray)
    inv.sklearn.FlowDensity(K=4)
