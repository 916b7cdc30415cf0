"""Julia's own operators as forward operators: they give what a matrix gives."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from pyinvnets.engines import get_engine
from pyinvnets.inverse_problems import GaussianLikelihood, as_operator, map_estimate

pytestmark = pytest.mark.julia

rng = np.random.default_rng(1)
SHAPE, DATA, SAMPLES = (3, 2, 2), 5, 4
MATRIX = rng.standard_normal((DATA, 12)).astype(np.float32)
X = np.asfortranarray(rng.standard_normal((*SHAPE, SAMPLES)), np.float32)
R = rng.standard_normal((DATA, SAMPLES))  # neither of Julia's order nor of the images' dtype

# Such as those of JUDI: they take a vector, and give what has to be asked for its numbers.
VECTORS_ALONE = """M -> Main.eval(quote
    struct Shot; gather::Vector{Float32}; end
    Base.vec(shot::Shot) = shot.gather
    struct Modelling; matrix; end
    Base.:*(A::Modelling, x::Vector{Float32}) = Shot(A.matrix * x)
    Base.adjoint(A::Modelling) = Modelling(A.matrix')
    Modelling($M)
end)"""
KINDS = {
    "Matrix": "Matrix",
    "SparseMatrixCSC": "M -> Base.require(Main, :SparseArrays).sparse(Matrix(M))",
    "joMatrix": "M -> joMatrix(Matrix(M))",
    "joMatrix of doubles": "M -> joMatrix(Matrix{Float64}(M))",
    "a product of JOLI's": "M -> joMatrix(Matrix{Float64}(M)) * adjoint(joDCT(12)) * joDCT(12)",
    "vectors alone": VECTORS_ALONE,
}


def seval(code):
    """An object of Julia's."""
    get_engine("julia")
    import juliacall

    juliacall.Main.seval("using JOLI")
    return juliacall.Main.seval(code)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_matrix(kind):
    A = as_operator(seval(KINDS[kind])(MATRIX))
    assert_close(A(X), MATRIX @ X.reshape(12, SAMPLES, order="F"), 1e-6, "data")
    gradient = A.pull_back(X, R)
    assert gradient.shape == X.shape
    assert_close(gradient, (MATRIX.T @ R).reshape(X.shape, order="F"), 1e-6, "adjoint")


@pytest.mark.parametrize("operator", ["joDCT(4, 3)", "joRestriction(12, [2, 5, 7])", "joDWT(12)"])
def test_the_adjoint(operator):
    A, own = as_operator(seval(operator)), np.asfortranarray(rng.standard_normal((4, 3, 1, SAMPLES)))
    data = A(own)
    weights = rng.standard_normal(data.shape)
    assert np.sum(weights * data) == pytest.approx(np.sum(A.pull_back(own, weights) * own), rel=1e-12)


def test_a_cosine_transform_is_scipys():
    from scipy.fft import dctn

    image = rng.standard_normal((4, 3, 1, 1))
    expected = dctn(image[:, :, 0, 0], norm="ortho").ravel("F")
    assert_close(as_operator(seval("joDCT(4, 3)"))(image)[:, 0], expected, 1e-12, "data")


@pytest.mark.parametrize("name", ["numpy", "julia"])
def test_a_map_estimate(name):
    """On either engine that with the matrix."""
    G = inv.NetworkGlow(1, 8, 2, 2, split_scales=True, engine=name, seed=1).astype(np.float64)
    G.forward(np.asfortranarray(rng.standard_normal((4, 4, 1, 20))))
    matrix, y = rng.standard_normal((7, 16)), rng.standard_normal((7, 3))
    with_matrix = map_estimate(G, matrix, y, 0.5, iterations=20)
    with_joli = map_estimate(G, seval("M -> joMatrix(Matrix(M))")(matrix), y, 0.5, iterations=20)
    assert_close(with_joli.X, with_matrix.X, 1e-6, "MAP")


def test_mistakes():
    complex_data = GaussianLikelihood(seval("joDFT(12)"), np.ones(12), 0.1)
    with pytest.raises(TypeError, match="title: A must give real data, got complex128"):
        complex_data.check("title", X)
    with pytest.raises(inv.JuliaError, match="shape mismatch"):
        as_operator(seval("joDCT(5)"))(X)
