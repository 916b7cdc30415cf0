"""Forward operators of every kind give what a matrix gives, and so do their adjoints."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import pyinvnets as inv
from helpers.comparison import assert_close
from pyinvnets.inverse_problems import GaussianLikelihood, Operator, as_operator

rng = np.random.default_rng(1)
SHAPE, DATA, SAMPLES = (3, 2, 2), 5, 4
MATRIX = rng.standard_normal((DATA, 12)).astype(np.float32)
X = np.asfortranarray(rng.standard_normal((*SHAPE, SAMPLES)), np.float32)
R = rng.standard_normal((DATA, SAMPLES)).astype(np.float32)


class OneByOne:
    """Vectors alone."""

    def matvec(self, x):
        assert x.shape == (12,)
        return MATRIX @ x

    def rmatvec(self, y):
        assert y.shape == (DATA,)
        return MATRIX.T @ y


class Own(Operator):
    def __call__(self, X):
        return MATRIX @ X.reshape(12, -1, order="F")

    def pull_back(self, X, R):
        return (MATRIX.T @ R).reshape(X.shape, order="F")


def of_torch():
    torch = pytest.importorskip("torch")
    return lambda x: x.flatten(1) @ torch.from_numpy(MATRIX).T


def of_pylops():
    pylops = pytest.importorskip("pylops")
    return pylops.MatrixMult(MATRIX, dtype=np.float32)


KINDS = {
    "matrix": lambda: MATRIX,
    "sparse matrix": lambda: scipy.sparse.csr_matrix(MATRIX),
    "sparse array": lambda: scipy.sparse.csr_array(MATRIX),
    "LinearOperator": lambda: scipy.sparse.linalg.aslinearoperator(MATRIX),
    "vectors alone": OneByOne,
    "pylops": of_pylops,
    "PyTorch": of_torch,
    "one's own": Own,
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_matrix(kind):
    A = as_operator(KINDS[kind]())
    assert_close(A(X), MATRIX @ X.reshape(12, SAMPLES, order="F"), 1e-6, "data")
    gradient = A.pull_back(X, R)
    assert gradient.shape == X.shape
    assert_close(gradient, (MATRIX.T @ R).reshape(X.shape, order="F"), 1e-6, "adjoint")


def test_the_order_of_elements_is_pytorchs():
    """Of images `(N, C, H, W)`, the elements of each in their own order."""
    images = np.ascontiguousarray(X.T)
    assert_close(as_operator(MATRIX)(X).T, images.reshape(SAMPLES, -1) @ MATRIX.T, 1e-6, "data")


def test_a_nonlinear_function():
    """Data of two axes; the gradient by differences."""
    torch = pytest.importorskip("torch")
    A = as_operator(lambda x: torch.stack([x[:, 0].exp(), x[:, 1] ** 3], 1))
    own = X.astype(np.float64)
    data = A(own)
    assert data.shape == (12, SAMPLES)
    assert_close(data[:, 0], np.stack([np.exp(own[:, :, 0, 0]), own[:, :, 1, 0] ** 3], -1).ravel("F"), 1e-12, "data")
    weights, step = rng.standard_normal(data.shape), rng.standard_normal(own.shape)
    ends = [np.sum(weights * A(own + sign * 1e-6 * step)) for sign in (1, -1)]
    assert np.sum(A.pull_back(own, weights) * step) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


class TestLikelihood:
    def test_is_the_gaussians(self):
        from scipy.stats import norm

        y, noise = rng.standard_normal((DATA, SAMPLES)), rng.uniform(0.5, 2, DATA)
        values, _ = GaussianLikelihood(MATRIX, y, noise)(X)
        expected = norm.logpdf(y, MATRIX @ X.reshape(12, SAMPLES, order="F"), noise[:, None]).sum(axis=0)
        assert_close(values, expected, 1e-6, "log-density")

    def test_its_gradient(self):
        likelihood = GaussianLikelihood(MATRIX.astype(float), rng.standard_normal(DATA), 0.3)
        own, step = X.astype(float), rng.standard_normal(X.shape)
        ends = [likelihood(own + sign * 1e-6 * step)[0].sum() for sign in (1, -1)]
        assert np.sum(likelihood(own)[1] * step) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)

    def test_data_of_several_axes(self):
        """An image as a datum, with a deviation for each pixel, is the vector of its elements."""
        y, noise = rng.standard_normal((*SHAPE, SAMPLES)), rng.uniform(0.5, 2, SHAPE)
        values, _ = GaussianLikelihood(np.eye(12), y, noise)(X)
        columns, of_pixels = y.reshape(12, SAMPLES, order="F"), noise.ravel(order="F")
        assert_close(values, GaussianLikelihood(np.eye(12), columns, of_pixels)(X)[0], 1e-12, "log-density")

    @pytest.mark.parametrize(
        ("y", "noise", "words"),
        [
            (np.array([1.0, np.nan]), 1.0, "y must be an array of finite numbers"),
            (np.array(["a"]), 1.0, "y must be an array of finite numbers"),
            (np.ones(2), 0.0, "noise must be a positive finite standard deviation"),
            (np.ones(2), np.inf, "noise must be a positive finite standard deviation"),
            (np.ones((2, 3)), np.ones(3), r"noise must be a number, or have a datum's shape \(2,\)"),
        ],
    )
    def test_unfit_numbers(self, y, noise, words):
        with pytest.raises(ValueError, match=words):
            GaussianLikelihood(np.eye(2), y, noise)


def test_what_is_no_operator():
    with pytest.raises(TypeError, match="A must be a matrix, a linear operator with matvec"):
        as_operator("blur")
    with pytest.raises(ValueError, match=r"A must be a matrix .*got shape \(2, 2, 2\)"):
        as_operator(np.ones((2, 2, 2)))
    assert inv.inverse_problems.as_operator is as_operator
