"""A network of a user's own: one declaration and one class of the NumPy engine, and everything else is there."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv
from helpers.mathematics import check_gradients, check_log_determinant, check_round_trip
from pyinvnets.arrays.spec import ArraySpec
from pyinvnets.engines import numpy as numpy_engine
from pyinvnets.engines.numpy.kernels.params import glorot_uniform, zeros
from pyinvnets.networks.base.flow import Flow


class ExponentialScale(Flow):
    """`Y = exp(a) X + b` for each channel."""

    upstream = "none"

    def __init__(self, k: int, *, engine: str | None = None, seed: int | None = None) -> None:
        self._create(engine, seed, ArraySpec(k), logdet=True)


class ExponentialScaleInNumPy:
    fields = ("a", "b")

    def __init__(self, rng, k):
        self.a, self.b = glorot_uniform(rng, k), zeros(k)

    def forward(self, x):
        """`x` has the shape `(n_channels, n_samples, ..., nx)`."""
        y = np.exp(over(self.a, x)) * x + over(self.b, x)
        return y, float(self.a.data.sum()) * int(np.prod(x.shape[2:]))

    def inverse(self, y):
        return (y - over(self.b, y)) / np.exp(over(self.a, y))

    def backward(self, dy, y, run):
        x, others = self.inverse(y), tuple(range(1, y.ndim))
        dx = np.exp(over(self.a, y)) * dy
        logdet = np.prod(y.shape[2:]) if run.logdets else 0
        run.gradients.set(self.a, (dx * x).sum(others) - logdet)
        run.gradients.set(self.b, dy.sum(others))
        return dx, x


numpy_engine.register("ExponentialScale", ExponentialScaleInNumPy)


def over(param, x):
    return param.data.reshape(-1, *(1,) * (x.ndim - 1))


@pytest.fixture
def network():
    return ExponentialScale(3, engine="numpy", seed=1).astype(np.float64)


@pytest.fixture
def X():
    return np.asfortranarray(np.random.default_rng(2).standard_normal((4, 2, 3, 50)))


def test_mathematics(network, X):
    few = X[..., :2].copy(order="F")
    check_round_trip(network, few)
    check_log_determinant(network, few)
    check_gradients(network, few, np.random.default_rng(3))


def test_density_and_samples(network, X):
    samples, log_prob = network.sample_and_log_prob(7, spatial=(4, 2), seed=4)
    np.testing.assert_allclose(network.log_prob(samples), log_prob)
    a, b = (inv.named_params(network)[name].data for name in "ab")
    Z = np.exp(a)[:, None] * X + b[:, None]
    exact = (-(Z**2) / 2 - np.log(2 * np.pi) / 2 + a[:, None]).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(network.log_prob(X), exact)


def test_training(network, X):
    """Maximum likelihood gives every channel zero mean and unit variance."""
    inv.fit(network, X, epochs=400, batch_size=50, learning_rate=0.02, validation=0, seed=1, progress=False)
    Z, _ = network.forward(X)
    np.testing.assert_allclose(Z.mean(axis=(0, 1, 3)), 0, atol=0.01)
    np.testing.assert_allclose(Z.std(axis=(0, 1, 3)), 1, atol=0.01)


def test_files(network, X, tmp_path):
    inv.save(network, tmp_path / "own.safetensors")
    again = inv.load(tmp_path / "own.safetensors", engine="numpy")
    assert type(again) is ExponentialScale
    np.testing.assert_array_equal(again.forward(X)[0], network.forward(X)[0])


def test_summary_and_repr(network):
    assert repr(network) == 'ExponentialScale(k=3, engine="numpy")'
    summary = network.summary((4, 2, 3, 50))
    assert [row.layer for row in summary.rows] == ["input", "ExponentialScale"]
    assert summary.parameters == 6


def test_in_a_sequence(network, X):
    both = inv.Sequential(network, inv.Conv1x1(3, engine="numpy", seed=5).astype(np.float64))
    np.testing.assert_allclose(both.inverse(both.forward(X)[0]), X)


def test_with_pytorch(network, X):
    torch = pytest.importorskip("torch")
    from pyinvnets.torch import FlowModule

    x = torch.from_numpy(X[..., :3].copy(order="F").T).requires_grad_()
    assert torch.autograd.gradcheck(FlowModule(network).log_prob, x)


def test_a_subclass_with_a_constructor_of_its_own(tmp_path):
    class SmallGlow(inv.NetworkGlow):
        def __init__(self, n_in: int, *, engine: str | None = None, seed: int | None = None) -> None:
            super().__init__(n_in, 8, 1, 2, engine=engine, seed=seed)

    small, plain = SmallGlow(2, engine="numpy", seed=1), inv.NetworkGlow(2, 8, 1, 2, engine="numpy", seed=1)
    X = inv.sample_banana(20, seed=1, engine="numpy")
    np.testing.assert_array_equal(small.forward(X)[0], plain.forward(X)[0])
    assert repr(small) == 'SmallGlow(n_in=2, engine="numpy")'
    inv.save(small, tmp_path / "small.safetensors")
    again = inv.load(tmp_path / "small.safetensors", engine="numpy")
    assert type(again) is SmallGlow
    np.testing.assert_array_equal(again.log_prob(X), small.log_prob(X))


def test_a_kind_that_an_engine_does_not_know():
    class Unknown(Flow):
        upstream = "none"

        def __init__(self, *, engine: str | None = None) -> None:
            self._create(engine, None, ArraySpec(2))

    with pytest.raises(ValueError, match="the NumPy engine has no Unknown"):
        Unknown(engine="numpy")
