"""What `fit` says of the drift of recomputed states, and where it ends training for it."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv

X = np.random.default_rng(0).standard_normal((48, 2, 4, 4), dtype=np.float32).T


def deep(K=128):
    return inv.NetworkGlow(2, 8, 1, K, engine="numpy", seed=1)


def fit(G, **options):
    settings = {"batch_size": 16, "learning_rate": 1e-4, "validation": 0, "seed": 1, "progress": False} | options
    return inv.fit(G, X, **settings)


def test_history():
    G = deep(20)
    history = fit(G, epochs=2)
    assert len(history.drift) == len(history.anchors) == history.updates == 6
    assert all(0 < drift < 1.2e-5 for drift in history.drift)
    # The input, and the states after steps 8 and 16.
    assert history.anchors[0] == 3 * X[..., :16].nbytes
    assert list(history.to_dict()["updates"])[-3:] == ["seconds", "drift", "anchors"]
    G.anchors = None
    assert fit(G, epochs=1).anchors == [0] * 3
    flat = inv.Sequential(inv.ActNorm(2, logdet=True, engine="numpy"))
    flat.anchors = None
    assert fit(flat, epochs=1).anchors == [0] * 3


def test_noise_ends_training():
    G = deep(192)
    G.anchors = None
    with pytest.warns(RuntimeWarning) as told:
        history = fit(G, epochs=1)
    assert "NetworkGlow.backward: a state recomputed from the output is off by" in str(told[0].message)
    assert str(told[1].message) == f"fit: {history.stopped}"
    assert history.updates == 0
    assert history.stopped.startswith("the gradients of update 1 are noise: a state recomputed from the output is off")
    assert history.stopped.endswith('times its size; write G.anchors = "auto"')
    G.anchors = "auto"
    history = fit(G, epochs=1)
    assert history.updates == 3 and history.stopped is None


def test_resumed_as_if_never_stopped(tmp_path):
    """With the spacing that automatic anchors had come to."""
    whole, first, second = deep(40), deep(40), deep(40)
    for G in (whole, first):
        G.spacings = [3]
    expected = fit(whole, epochs=2)
    fit(first, epochs=1, checkpoint=tmp_path / "c")
    history = fit(second, epochs=2, resume=tmp_path / "c")
    assert second.spacings == whole.spacings
    assert history.objective == expected.objective
    assert history.drift == expected.drift and history.anchors == expected.anchors
    for p, q in zip(inv.get_params(whole), inv.get_params(second), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    with pytest.raises(ValueError, match="written with network"):
        fit(inv.Sequential(deep(40)), epochs=2, resume=tmp_path / "c")
