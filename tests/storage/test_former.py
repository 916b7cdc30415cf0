"""Weights and checkpoints of earlier versions still load, and training goes on from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pyinvnets as inv
from pyinvnets.training.checkpoints import read_checkpoint

FORMER = Path(__file__).parent / "former"


def samples():
    X = np.asfortranarray(np.random.default_rng(0).standard_normal((200, 2, 1, 1), dtype=np.float32).T)
    X[:, :, 1:] += 0.8 * X[:, :, :1]
    return 3 * X + 1


OPTIONS = {
    "batch_size": 20,
    "learning_rate": 0.01,
    "validation": 0.1,
    "noise": 0.01,
    "clip_norm": 5.0,
    "seed": 1,
    "progress": False,
}


def glow():
    return inv.NetworkGlow(2, 4, 1, 2, engine="numpy", seed=1)


@pytest.fixture(scope="module")
def expected():
    return np.load(FORMER / "expected.npz")


def test_weights(expected):
    G = inv.load(FORMER / "glow.safetensors", engine="numpy")
    np.testing.assert_allclose(G.forward(samples()[..., :5])[0], expected["Z"], rtol=1e-5, atol=1e-6)


def test_training_goes_on_as_it_did(expected):
    G = glow()
    history = inv.fit(G, samples(), epochs=4, resume=FORMER / "checkpoint.safetensors", **OPTIONS)
    assert history.epochs == 4 and history.objective[:18] == expected["objective"][:18].tolist()
    np.testing.assert_allclose(history.objective, expected["objective"], rtol=1e-5)
    np.testing.assert_allclose(history.validation, expected["validation"], rtol=1e-5)
    np.testing.assert_allclose(G.forward(samples()[..., :5])[0], expected["Z"], rtol=1e-4, atol=1e-5)


def test_the_columns_of_a_former_history():
    history = read_checkpoint(FORMER / "checkpoint.safetensors").history
    assert list(history.terms) == ["l2", "lgdet"]
    assert history.objective == [a - b for a, b in zip(history.l2, history.lgdet, strict=True)]
    assert history.updates == 18 and history.epochs == 2 and history.dimensions == 2


def test_other_settings_are_refused_still():
    with pytest.raises(ValueError, match="noise = 0.01, cannot go on with 0.0"):
        inv.fit(glow(), samples(), epochs=4, resume=FORMER / "checkpoint.safetensors", **OPTIONS | {"noise": 0})
