"""Flows on rows: the networks behind them on images of one pixel, without copies."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import pyinvnets as inv


def rows(n, features, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal((n, features)).astype(dtype)


def images(X):
    return X.reshape(*X.shape, 1, 1).T


def trained(engine="numpy", n_cond=0):
    """A flow whose ActNorm is set, and rows for it."""
    flow = inv.VectorFlow(3, n_cond=n_cond, n_hidden=8, K=3, engine=engine, seed=1)
    flow.network.astype(np.float64)
    arrays = [rows(50, 3) ** 3, *([rows(50, n_cond, seed=1)] if n_cond else [])]
    flow.forward(*arrays)
    return flow, arrays


@pytest.mark.parametrize("n_cond", [0, 2])
def test_is_its_network(engine, n_cond):
    flow, arrays = trained(engine, n_cond)
    network = flow.network
    assert type(network).__name__ == ("NetworkConditionalGlow" if n_cond else "NetworkGlow")
    Z, lgdet = flow.forward(*arrays)
    Z_network, *_, lgdet_network = network.forward(*map(images, arrays))
    assert Z.shape == (50, 3) and np.array_equal(images(Z), Z_network) and lgdet == lgdet_network
    np.testing.assert_allclose(flow.inverse(Z, *arrays[1:]), arrays[0], rtol=1e-9, atol=1e-9)
    assert np.array_equal(flow.log_prob(*arrays, batch_size=20), network.log_prob(*map(images, arrays), batch_size=20))
    X, log_prob = flow.sample_and_log_prob(50, *arrays[1:], seed=3)
    assert np.array_equal(X, flow.sample(50, *arrays[1:], seed=3, batch_size=50))
    assert X.shape == (50, 3) and np.array_equal(log_prob, flow.log_prob(X, *arrays[1:]))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(flow)).log_prob(*arrays), flow.log_prob(*arrays))
    assert repr(eval(repr(flow), dict(vars(inv)))) == repr(flow)


def test_one_condition_for_all():
    flow, (X, C) = trained(n_cond=2)
    np.testing.assert_allclose(flow.log_prob(X, C[:1]), flow.log_prob(X, np.repeat(C[:1], 50, axis=0)))
    assert flow.sample(7, C[:1], seed=1).shape == (7, 3)


def test_saved_and_loaded(tmp_path):
    flow, arrays = trained()
    inv.save(flow.network, tmp_path / "flow.safetensors")
    again = inv.VectorFlow.of(inv.load(tmp_path / "flow.safetensors", engine="numpy"))
    np.testing.assert_array_equal(again.log_prob(*arrays), flow.log_prob(*arrays))


def test_rows_are_not_copied(monkeypatch):
    flow, (X,) = trained()
    seen = []
    monkeypatch.setattr(type(flow.network), "forward", lambda self, images: (seen.append(images) or images, 0.0))
    Z, _ = flow.forward(X)
    assert np.shares_memory(seen[0], X) and seen[0].flags.f_contiguous
    assert np.shares_memory(Z, X) and Z.flags.c_contiguous


def test_fit():
    """The flow comes close to the true density, and held-out rows are rows."""
    Z = rows(2000, 2)
    X = np.column_stack([Z[:, 0], Z[:, 0] ** 2 + Z[:, 1] / 2])
    train, test = X[:1000], X[1000:]
    flow = inv.VectorFlow(2, n_hidden=16, K=6, engine="numpy", seed=1)
    flow.network.astype(np.float64)
    history = flow.fit(
        train,
        epochs=60,
        batch_size=100,
        learning_rate=inv.CosineDecay(1e-2, 600),
        validation=test,
        seed=1,
        progress=False,
    )
    best = -np.square(Z[1000:]).sum(axis=1).mean() / 2 - np.log(2 * np.pi) + np.log(2)
    assert best - 0.1 < flow.log_prob(test).mean() < best
    assert min(history.validation) == pytest.approx(-flow.log_prob(test).mean() - np.log(2 * np.pi))


def test_fit_given_a_condition():
    C = rows(1000, 1)
    X = np.hstack([C, -C]) + 0.1 * rows(1000, 2, seed=1)
    flow = inv.VectorFlow(2, n_cond=1, n_hidden=16, K=3, engine="numpy", seed=1)
    flow.network.astype(np.float64)
    history = flow.fit(
        X, C, epochs=15, batch_size=100, learning_rate=1e-2, validation=(X[:10], C[:10]), seed=1, progress=False
    )
    assert len(history.validation) == 15
    samples = flow.sample(1000, np.array([[1.5]]), seed=2)
    np.testing.assert_allclose(samples.mean(axis=0), [1.5, -1.5], atol=0.1)
    assert np.all(samples.std(axis=0) < 0.25)


def test_no_output_of_a_block_starts_dead():
    """Of blocks that end in a ReLU and see one feature, many would give zero on a whole half-line."""
    flow = inv.VectorFlow(2, K=8, engine="numpy", seed=1)
    X = rows(200, 2, np.float32)
    Z, _ = flow.forward(X)
    flow.network.backward(images(Z) / 200, images(Z))
    for name, p in inv.named_params(flow.network).items():
        if name.endswith("RB.W3"):
            assert np.all(np.abs(p.grad).sum(axis=tuple(i for i in range(4) if i != 2)) > 0), name


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: inv.VectorFlow(1, engine="numpy"), ValueError, "n_features must be at least 2, got 1"),
        (lambda: inv.VectorFlow.of(3), TypeError, "expected a network over one array, got 3"),
        (
            lambda: inv.VectorFlow.of(inv.NetworkGlow(2, 4, 1, 1, split_scales=True, engine="numpy")),
            ValueError,
            "takes images of one pixel",
        ),
        (lambda: trained()[0].log_prob([[1.0, 2.0, 3.0]]), TypeError, "X must be a NumPy array, got list"),
        (lambda: trained()[0].log_prob(rows(5, 2)), ValueError, r"must have shape \(n_samples, 3\).*got \(5, 2\)"),
        (lambda: trained()[0].log_prob(rows(0, 3)), ValueError, r"got \(0, 3\)"),
        (lambda: trained()[0].log_prob(rows(5, 3, np.float32)), TypeError, "must be float64"),
        (lambda: trained()[0].log_prob(rows(5, 3), rows(5, 1)), ValueError, "takes no condition"),
        (lambda: trained(n_cond=2)[0].sample(5), ValueError, "needs a condition too"),
        (lambda: trained(n_cond=2)[0].sample(5, rows(1, 3)), ValueError, r"condition must have shape \(n_samples, 2\)"),
        (
            lambda: inv.VectorFlow(3, n_cond=2, engine="numpy").inverse(rows(5, 3), rows(5, 2)),
            ValueError,
            "is not initialised",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
