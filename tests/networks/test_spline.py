"""Spline couplings: their splines against the paper's formulas, their ends, and numbers at the limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pyinvnets as inv

N_BINS, BOUND = 5, 2.0


def layer(engine, n_in=2, dtype=np.float64, spread=1.0, **options):
    """One whose splines are not the identity."""
    network = inv.CouplingLayerSpline(
        n_in, 8, n_bins=N_BINS, bound=BOUND, k1=1, p1=0, logdet=True, engine=engine, seed=1, **options
    ).astype(dtype)
    rng = np.random.default_rng(2)
    for p in inv.get_params(network):
        p.data = (p.data + spread * rng.standard_normal(p.shape)).astype(dtype)
    return network


def pixels(rows):
    return rows.T[None, None].copy(order="F")


def softplus(x):
    return np.log1p(np.exp(x))


def knots_and_slopes(logits):
    """Of the paper's section 3.1, in its words: softmax, softplus, and the least sizes of its code."""
    slopes, widths, heights = np.split(logits, [N_BINS - 1, 2 * N_BINS - 1])
    edges = []
    for sizes in (widths, heights):
        parts = 1e-3 + (1 - 1e-3 * N_BINS) * np.exp(sizes) / np.exp(sizes).sum()
        edges.append(-BOUND + 2 * BOUND * np.concatenate([[0], np.cumsum(parts)]))
    inner = 1e-3 + softplus(slopes + np.log(np.expm1(1 - 1e-3)))
    return *edges, np.concatenate([[1], inner, [1]])


def paper(x, logits):
    """Equation 4, and the logarithm of equation 5."""
    if abs(x) > BOUND:
        return x, 0.0
    xs, ys, d = knots_and_slopes(logits)
    k = min(np.searchsorted(xs, x, side="right") - 1, N_BINS - 1)
    s, xi = (ys[k + 1] - ys[k]) / (xs[k + 1] - xs[k]), (x - xs[k]) / (xs[k + 1] - xs[k])
    below = s + (d[k + 1] + d[k] - 2 * s) * xi * (1 - xi)
    y = ys[k] + (ys[k + 1] - ys[k]) * (s * xi**2 + d[k] * xi * (1 - xi)) / below
    slope = s**2 * (d[k + 1] * xi**2 + 2 * s * xi * (1 - xi) + d[k] * (1 - xi) ** 2) / below**2
    return y, np.log(slope)


def test_is_the_papers_spline(engine):
    network, rng = layer(engine, n_in=4), np.random.default_rng(3)
    X = pixels(2 * rng.standard_normal((60, 4)))
    Y, lgdets = network.forward_by_sample(X)
    named = inv.named_params(network)
    turned = X[0, 0]
    for name in ("C.v1", "C.v2", "C.v3"):
        v = named[name].data
        turned = turned - 2 * np.outer(v, v @ turned) / (v @ v)
    kept = turned[2:]
    hidden = np.maximum(named["RB.W1"].data[0, 0].T @ kept + named["RB.b1"].data[:, None], 0)
    hidden = np.maximum(hidden + named["RB.W2"].data[0, 0].T @ hidden + named["RB.b2"].data[:, None], 0)
    logits = (named["RB.W3"].data[0, 0] @ hidden).reshape(3 * N_BINS - 1, 2, -1)
    expected = np.array([[paper(turned[j, i], logits[:, j, i]) for i in range(60)] for j in range(2)])
    np.testing.assert_allclose(Y[0, 0, :2], expected[..., 0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(Y[0, 0, 2:], kept, rtol=1e-12)
    np.testing.assert_allclose(lgdets, expected[..., 1].sum(axis=0), rtol=1e-8, atol=1e-8)
    assert (np.abs(turned[:2]) > BOUND).any() and (np.abs(turned[:2]) < BOUND).any()


def test_begins_as_the_identity(engine):
    X = pixels(np.random.default_rng(3).standard_normal((20, 3)))
    network = inv.CouplingLayerSpline(3, 4, logdet=True, engine=engine, seed=1).astype(np.float64)
    turned = inv.Conv1x1(3, engine=engine).astype(np.float64)
    for name in ("v1", "v2", "v3"):
        inv.named_params(turned)[name].data = inv.named_params(network)[f"C.{name}"].data
    Y, lgdet = network.forward(X)
    np.testing.assert_allclose(Y, turned.forward(X), rtol=1e-12, atol=1e-12)
    assert lgdet == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_is_finite_at_the_limits(engine, dtype):
    """Logits in the thousands, and elements on the knots at the ends and far outside."""
    network = layer(engine, dtype=dtype, spread=30.0)
    values = [0, BOUND, -BOUND, np.nextafter(BOUND, 0), 1e-30, 1e6, -1e6]
    X = pixels(np.array([*itertools.product(values, values)]).astype(dtype))
    X = np.asfortranarray(network.inverse(X))  # So that these values are what the splines see.
    Y, lgdets = network.forward_by_sample(X)
    dX, X_again = network.backward(Y / len(values), Y)
    for array in (X, Y, lgdets, dX, X_again, *(p.grad for p in inv.get_params(network))):
        assert np.isfinite(array).all()
    far = [abs(a) > 10 for a, _ in itertools.product(values, values)]
    np.testing.assert_allclose(lgdets[far], 0, atol=1e-3 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("n_cond", [0, 2])
def test_on_rows(engine, n_cond):
    flow = inv.VectorFlow(3, n_cond=n_cond, n_hidden=8, K=3, coupling="spline", engine=engine, seed=1)
    rng = np.random.default_rng(4)
    X = rng.standard_normal((400, 3), dtype=np.float32) ** 3
    condition = [X[:, :1] + rng.standard_normal((400, n_cond), dtype=np.float32)] if n_cond else []
    flow.forward(X, *condition)
    before = flow.log_prob(X, *condition).mean()
    flow.fit(X, *condition, epochs=3, batch_size=50, learning_rate=5e-3, seed=1, progress=False)
    assert flow.log_prob(X, *condition).mean() > before + 0.3
    samples, log_prob = flow.sample_and_log_prob(400, *condition, seed=2)
    np.testing.assert_allclose(flow.log_prob(samples, *condition), log_prob)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: inv.CouplingLayerSpline(2, 4, n_bins=1, engine="numpy"), "n_bins"),
        (lambda: inv.NetworkSpline(2, 4, 1, 1, n_bins=501, engine="numpy"), "n_bins"),
        (lambda: inv.NetworkSpline(2, 4, 1, 1, bound=0.0, engine="numpy"), "bound"),
        (lambda: inv.NetworkConditionalSpline(2, 1, 4, 1, 1, bound=np.inf, engine="numpy"), "bound"),
        (lambda: inv.VectorFlow(2, coupling="cubic", engine="numpy"), "coupling"),
        (lambda: inv.VectorFlow(2, coupling="spline", activation=inv.SigmoidLayer(), engine="numpy"), "activation"),
    ],
)
def test_unfit_arguments(make, named):
    with pytest.raises(ValueError, match=named):
        make()
