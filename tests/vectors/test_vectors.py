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


@pytest.mark.parametrize("as_flow", [True, False])
def test_n_samples_for_each_condition(engine, as_flow):
    """They are what the same latents give with each condition alone, whatever the batch size."""
    flow, (_, C) = trained(engine, n_cond=2)
    C, latents = C[:4], np.random.default_rng(3).standard_normal((5, 4, 3))
    expected = np.stack([flow.inverse(latents[:, j], np.repeat(C[j : j + 1], 5, axis=0)) for j in range(4)], axis=1)
    if as_flow:
        samples = flow.sample(5, C, each=True, seed=3)
        batches = flow.sample(5, C, each=True, seed=3, batch_size=3)
        again, log_prob = flow.sample_and_log_prob(5, C, each=True, seed=3)
    else:
        samples, batches = (flow.network.sample(5, images(C), each=True, seed=3, batch_size=b) for b in (None, 3))
        again, log_prob = flow.network.sample_and_log_prob(5, images(C), each=True, seed=3)
        assert samples.shape == (1, 1, 3, 4, 5)
        samples, batches, again, log_prob = samples[0, 0].T, batches[0, 0].T, again[0, 0].T, log_prob.T
    assert samples.shape == (5, 4, 3) and log_prob.shape == (5, 4)
    np.testing.assert_allclose(samples, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(batches, samples, rtol=1e-12)
    np.testing.assert_array_equal(again, samples)
    for j in range(4):
        np.testing.assert_allclose(log_prob[:, j], flow.log_prob(np.ascontiguousarray(samples[:, j]), C[j : j + 1]))


def test_each_of_one_condition():
    flow, (_, C) = trained(n_cond=2)
    one = flow.sample(6, C[:1], each=True, seed=1)
    assert one.shape == (6, 1, 3)
    np.testing.assert_array_equal(one[:, 0], flow.sample(6, C[:1], seed=1))


def test_each_given_images(engine):
    """The conditions are images, which split networks squeeze."""
    G = inv.NetworkConditionalGlow(1, 2, 4, 2, 1, split_scales=True, engine=engine, seed=1)
    rng = np.random.default_rng(0)
    X, C = (np.asfortranarray(rng.standard_normal((8, 4, k, 3)).astype(np.float32)) for k in (1, 2))
    G.forward(X, C)
    samples = G.sample(4, C, each=True, seed=2, batch_size=5)
    repeated = G.sample(12, np.asfortranarray(np.tile(C, 4)), seed=2)
    assert samples.shape == (8, 4, 1, 3, 4)
    np.testing.assert_allclose(samples, repeated.reshape(samples.shape, order="F"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_cond", [0, 2])
def test_saved_and_loaded(tmp_path, n_cond):
    flow, arrays = trained(n_cond=n_cond)
    inv.save(flow, tmp_path / "flow.safetensors")
    again = inv.load(tmp_path / "flow.safetensors", kind=inv.VectorFlow, engine="numpy")
    assert isinstance(again, inv.VectorFlow) and isinstance(inv.load(tmp_path / "flow.safetensors"), inv.VectorFlow)
    np.testing.assert_array_equal(again.log_prob(*arrays), flow.log_prob(*arrays))
    with pytest.raises(TypeError, match="expected kind=NetworkGlow"):
        inv.load(tmp_path / "flow.safetensors", kind=inv.NetworkGlow, engine="numpy")
    inv.save(flow.network, tmp_path / "network.safetensors")
    assert repr(inv.load(tmp_path / "network.safetensors", engine="numpy")) == repr(flow.network)


def test_only_declared_forms_are_loaded(tmp_path):
    flow, _ = trained()
    inv.save(flow, tmp_path / "flow.safetensors")
    content = (tmp_path / "flow.safetensors").read_bytes().replace(b'"VectorFlow"', b'"fit_loader"')
    (tmp_path / "flow.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="'fit_loader' in its metadata is no form of a network"):
        inv.load(tmp_path / "flow.safetensors", engine="numpy")
    with pytest.raises(TypeError, match="save: expected a network, layer or VectorFlow, got 3"):
        inv.save(3, tmp_path / "three")


def test_parameters_are_the_networks():
    flow, (X,) = trained()
    assert inv.get_params(flow) == inv.get_params(flow.network)
    assert inv.named_params(flow) == inv.named_params(flow.network)
    other, _ = trained()
    inv.named_params(other)["AN[1,1].s"].data *= 2
    inv.set_params(flow, inv.get_params(other))
    np.testing.assert_array_equal(flow.log_prob(X), other.log_prob(X))
    flow.load_state_dict(trained()[0].state_dict())
    assert not np.array_equal(flow.log_prob(X), other.log_prob(X))
    flow.network.backward(images(X), images(X))
    inv.clear_grad(flow)
    assert all(p.grad is None for p in inv.get_params(flow))
    assert flow.astype(np.float32) is flow and flow.dtype == np.float32 and flow.engine == "numpy"


def test_summary():
    flow, _ = trained()
    assert repr(flow.summary((50, 3))) == repr(flow.network.summary((1, 1, 3, 50)))
    for shape in (3, (1, 1, 3, 50)):
        with pytest.raises(ValueError, match=r"must be \(n_samples, n_features\), such as \(64, 3\)"):
            flow.summary(shape)


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
        (lambda: inv.VectorFlow(0, engine="numpy"), ValueError, "n_in must be"),
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
            lambda: trained(n_cond=2)[0].sample(5, rows(4, 2)),
            ValueError,
            r"one row, or n = 5, got shape \(4, 2\); write each=True",
        ),
        (lambda: trained()[0].sample(5, each=True), ValueError, "each=True is for the rows of a condition"),
        (
            lambda: trained(n_cond=2)[0].network.sample(5, images(rows(4, 2))),
            ValueError,
            "one sample, or n = 5.*; write each=True",
        ),
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
