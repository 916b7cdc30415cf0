"""Bad input: a clear error with what was expected and got, and the network exactly as it was before."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv


@pytest.fixture
def G(engine):
    return inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine=engine, seed=1)


def batch(shape=(8, 4, 2, 3), dtype=np.float32, seed=0):
    return np.asfortranarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def snapshot(network):
    return {
        p.name: (None if p.data is None else p.data.copy(), None if p.grad is None else p.grad.copy())
        for p in inv.get_params(network)
    }


def assert_unchanged(network, before):
    for name, values in snapshot(network).items():
        for got, expected in zip(values, before[name], strict=True):
            assert (got is None) == (expected is None), name
            if got is not None:
                np.testing.assert_array_equal(got, expected, err_msg=name)


INPUTS = {
    "a list": (lambda X: X.tolist(), TypeError, "NumPy array, got list"),
    "integers": (lambda X: X.astype(int), TypeError, r"must be float32.*got int64.*astype\(np.float32\)"),
    "float64": (lambda X: X.astype(float), TypeError, r"float32.*got float64.*\.astype\(np.float64\)"),
    "other byte order": (
        lambda X: X.astype(">f4"),
        TypeError,
        r"must be float32.*got >f4, a float32 of another byte order; write X.astype\(np.float32\)",
    ),
    "objects": (lambda X: X.astype(object), TypeError, "got object, an array of Python objects; write X.astype"),
    "a mask": (np.ma.array, TypeError, r"X is a masked array, and a network sees no mask; write X.filled\(value\)"),
    "a mask, other layout": (lambda X: np.ma.array(X)[::-1], TypeError, "X is a masked array"),
    "too few axes": (lambda X: X[0], ValueError, r"shape \(nx, ny, n_channels, n_samples\).*got shape \(4, 2, 3\)"),
    "wrong channels": (lambda X: X[:, :, :1], ValueError, r"n_channels = 2.*got shape \(8, 4, 1, 3\)"),
    "no samples": (lambda X: X[..., :0], ValueError, r"got shape \(8, 4, 2, 0\)"),
    "odd size": (lambda X: X[:6], ValueError, r"multiples of 4, got shape \(6, 4, 2, 3\)"),
    "NaN": (lambda X: np.where(X[0, 0, 0, 0] == X, np.float32(np.nan), X), ValueError, "ActNorm.*AN.*not finite"),
    "infinity": (lambda X: np.where(X[0, 0, 0, 0] == X, np.float32(np.inf), X), ValueError, "ActNorm.*AN.*not finite"),
    "zero variance": (lambda X: np.zeros_like(X), ValueError, "zero variance"),
    "one sample of one pixel": (lambda X: X[:4, :4, :, :1] * 0 + 1, ValueError, "zero variance"),
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_forward(name, G):
    spoil, error, message = INPUTS[name]
    before = snapshot(G)
    with pytest.raises(error, match=message):
        G.forward(spoil(batch()))
    assert_unchanged(G, before)
    assert G.spatial is None
    G.forward(batch())


def test_failure_deep_in_the_network_leaves_no_actnorm_set(engine):
    """The first scale is fine; the second sees constant channels, and the first must be undone."""
    G = inv.NetworkGlow(1, 4, 2, 1, engine=engine, seed=1)
    pixels = np.zeros((4, 4, 1, 2), np.float32)
    pixels[::2] = 1
    pixels[1, 0, 0, 0] = 2
    before = snapshot(G)
    with pytest.raises(ValueError, match="ActNorm"):
        G.forward(np.asfortranarray(pixels))
    assert_unchanged(G, before)


def test_backward_and_inverse_before_forward(G, engine):
    Z = batch((192,))
    before = snapshot(G)
    for call in (lambda: G.backward(Z, Z), lambda: G.inverse(Z)):
        with pytest.raises(ValueError, match="call forward first"):
            call()
    H = inv.NetworkGlow(2, 4, 1, 2, engine=engine)
    with pytest.raises(ValueError, match=r"AN\[1,1\]\.s is not initialised; call forward"):
        H.backward(batch(), batch())
    assert_unchanged(G, before)


def test_backward_of_unfit_arrays(G):
    Z, _ = G.forward(batch())
    G.backward(Z, Z)
    before = snapshot(G)
    for dY, Y, message in (
        (Z[:-64].copy(), Z, "same batch"),
        (Z[:-1].copy(),) * 2 + ("multiple of 64",),
        (batch(), Z, "a vector"),
    ):
        with pytest.raises(ValueError, match=message):
            G.backward(dY, Y)
    assert_unchanged(G, before)


def test_a_part_of_a_split_latent_is_no_samples(G, engine):
    """Of such a latent the first numbers are the first halves of all samples."""
    X = batch((8, 4, 2, 20))
    Z, _ = G.forward(X)
    for call in (lambda: G.inverse(Z[:64]), lambda: G.backward(Z[:64], Z[:64]), lambda: G.inverse(Z[64:])):
        with pytest.raises(ValueError, match="is a part of the latent that forward gave, which is not whole samples"):
            call()
    np.testing.assert_allclose(G.inverse(Z), X, atol=1e-3)
    np.testing.assert_allclose(G.inverse(Z[:]), X, atol=1e-3)
    assert G.inverse(np.zeros(64, np.float32)).shape == (8, 4, 2, 1)
    one, _ = G.forward(X[..., :1])
    np.testing.assert_allclose(G.inverse(one), X[..., :1], atol=1e-3)
    assert G.inverse(Z[:64]).shape == (8, 4, 2, 1), "of an earlier latent it cannot be known"
    H = inv.NetworkMultiScaleHINT(2, 4, 2, 1, split_scales=True, engine=engine, seed=1)
    Z, _ = H.forward(X)
    with pytest.raises(ValueError, match="is a part of the latent"):
        H.inverse(Z[..., :3] if Z.ndim > 1 else Z[:64])


CONSTRUCTORS = {
    "unknown keyword": (
        lambda **k: inv.NetworkGlow(2, 4, 1, 1, hidden=3, **k),
        TypeError,
        "hidden.*expected NetworkGlow",
    ),
    "missing argument": (lambda **k: inv.NetworkGlow(2, 4, 1, **k), TypeError, "'K'.*expected NetworkGlow"),
    "no channels": (lambda **k: inv.NetworkGlow(0, 4, 1, 1, **k), ValueError, "n_in must be at least 1, got 0"),
    "a float": (lambda **k: inv.NetworkGlow(2.0, 4, 1, 1, **k), TypeError, "n_in must be an integer, got 2.0"),
    "a flag": (lambda **k: inv.NetworkGlow(2, 4, 1, 1, dense="yes", **k), TypeError, "True or False, got 'yes'"),
    "four axes": (lambda **k: inv.NetworkGlow(2, 4, 1, 1, ndims=4, **k), ValueError, "1, 2 or 3, got 4"),
    "a shrinking block": (
        lambda **k: inv.NetworkGlow(2, 4, 1, 1, k2=3, **k),
        ValueError,
        "k2 = 2 p2 . 1; got k2=3, p2=0",
    ),
    "scale that can be zero": (
        lambda **k: inv.CouplingLayerGlow(2, 4, activation=inv.ReLUlayer(), **k),
        ValueError,
        "cannot be inverted with ReLUlayer",
    ),
    "no activation": (lambda **k: inv.CouplingLayerGlow(2, 4, activation="relu", **k), TypeError, "got 'relu'"),
    "no squeezer": (lambda **k: inv.NetworkGlow(2, 4, 1, 1, squeezer="haar", **k), TypeError, "got 'haar'"),
    "one channel in a coupling": (lambda **k: inv.CouplingLayerGlow(1, 4, **k), ValueError, "at least 2, got 1"),
    "dense without nx": (lambda **k: inv.NetworkGlow(2, 4, 1, 1, dense=True, **k), ValueError, "needs nx="),
    "dense and odd": (
        lambda **k: inv.NetworkGlow(2, 4, 1, 1, dense=True, nx=5, ndims=1, split_scales=True, **k),
        ValueError,
        "multiple of 2..L = 2",
    ),
    "gate of an odd number": (lambda **k: inv.ResidualBlock(2, 4, n_out=3, **k), ValueError, "must be even.*got 3"),
    "a block's sigmoid": (
        lambda **k: inv.ResidualBlock(2, 4, activation=inv.SigmoidLayer(), **k),
        ValueError,
        "ReLUlayer",
    ),
    "negative seed": (lambda **k: inv.ActNorm(2, seed=-1, **k), ValueError, "non-negative integer or None, got -1"),
    "NaN in a sigmoid": (lambda **_: inv.SigmoidLayer(low=float("nan")), ValueError, "finite low < high"),
    "pattern": (lambda **_: inv.ShuffleLayer("rows"), ValueError, "checkerboard, got 'rows'"),
    "wavelet": (lambda **_: inv.WaveletLayer("db7"), ValueError, "got 'db7'"),
    "learning rate": (lambda **_: inv.Adam(-1), ValueError, "positive finite number, got -1"),
    "decay": (lambda **_: inv.Adam(beta=(1.0, 0.9)), ValueError, "got .1.0, 0.9."),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructor(name, engine):
    make, error, message = CONSTRUCTORS[name]
    with pytest.raises(error, match=message):
        make(engine=engine)


def test_engine_names():
    with pytest.raises(ValueError, match='"julia", "numpy" or "auto", got \'torch\''):
        inv.ActNorm(2, engine="torch")
    with pytest.raises(ValueError, match="use_engine must be"):
        inv.use_engine("jax")


FUNCTIONS = {
    "odd squeeze": (lambda X, **k: inv.squeeze(X[:3], **k), "multiples of 2"),
    "pattern": (lambda X, **k: inv.squeeze(X, "rows", **k), "got 'rows'"),
    "unsqueeze": (lambda X, **k: inv.unsqueeze(X, **k), "multiple of 4 channels"),
    "split": (lambda X, **k: inv.tensor_split(X, 2, **k), "expected 1 to 1"),
    "cat": (lambda X, **k: inv.tensor_cat(X, X[:4], **k), "must agree"),
    "mse": (lambda X, **k: inv.mse(X, X[:4], **k), "must agree"),
    "vector": (lambda X, **k: inv.log_likelihood(X.ravel(), **k), "last axis"),
    "sigma": (lambda X, **k: inv.log_likelihood(X, sigma=0.0, **k), "positive finite"),
    "banana": (lambda _, **k: inv.sample_banana(0, **k), "positive integer, got 0"),
    "banana's constants": (lambda _, **k: inv.sample_banana(5, c=(0, 1), **k), "not zero"),
    "swirl": (lambda _, **k: inv.sample_swirl(5, noise=-1, **k), "zero or more, got -1"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name, engine):
    call, message = FUNCTIONS[name]
    with pytest.raises(ValueError, match=message):
        call(batch(), engine=engine)
