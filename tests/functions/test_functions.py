"""Activations, squeezers, objectives and test distributions against InvertibleNetworks.jl's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from helpers.golden_files import Golden


class TestUtilities:
    golden = Golden("utilities")

    @pytest.mark.parametrize("pattern", ["column", "patch", "checkerboard"])
    @pytest.mark.parametrize(("name", "source"), [("squeeze", "X"), ("squeeze3", "X3")])
    def test_squeeze(self, pattern, name, source, engine):
        Y = inv.squeeze(self.golden[source], pattern, engine=engine)
        assert_close(Y, self.golden[f"{name}/{pattern}"], 1e-15, pattern)
        assert_close(inv.unsqueeze(Y, pattern, engine=engine), self.golden[source], 1e-15, "unsqueeze")

    @pytest.mark.parametrize(
        ("function", "back"), [("wavelet_squeeze", "wavelet_unsqueeze"), ("Haar_squeeze", "invHaar_unsqueeze")]
    )
    @pytest.mark.parametrize("source", ["X", "X3"])
    def test_wavelets(self, function, back, source, engine):
        suffix = source.removeprefix("X")
        Y = getattr(inv, function)(self.golden[source], engine=engine)
        assert_close(Y, self.golden[function + suffix], 1e-14, function)
        assert_close(getattr(inv, back)(Y, engine=engine), self.golden[source], 1e-14, back)

    def test_tensor_split(self, engine):
        first, second = inv.tensor_split(self.golden["split/in"], engine=engine)
        assert_close(first, self.golden["split/0"], 0, "first half")
        assert_close(second, self.golden["split/1"], 0, "second half")
        assert_close(inv.tensor_cat(first, second, engine=engine), self.golden["split/in"], 0, "tensor_cat")

    def test_objectives(self, engine):
        X, Y = self.golden["obj/X"], self.golden["obj/Y"]
        kw = {"engine": engine}
        for got, key in (
            (inv.log_likelihood(X, **kw), "log_likelihood"),
            (inv.grad_log_likelihood(X, **kw), "grad_log_likelihood"),
            (inv.mse(X, Y, **kw), "mse"),
            (inv.grad_mse(X, Y, **kw), "grad_mse"),
        ):
            assert_close(got, self.golden[f"obj/{key}"], 1e-14, key)

    def test_objectives_with_mean_and_deviation(self, engine):
        got = inv.log_likelihood(self.golden["obj/X"], mu=0.3, sigma=1.7, engine=engine)
        assert_close(got, self.golden["obj/log_likelihood_mu_sigma"], 1e-14, "log_likelihood")

    @pytest.mark.parametrize("kind", ["ReLU", "LeakyReLU", "Sigmoid", "GaLU", "ExpClamp"])
    def test_activation_forward(self, kind, engine):
        layer = getattr(inv, f"{kind}Layer" if kind in ("Sigmoid", "ExpClamp") else f"{kind}layer")()
        got = layer.forward(self.golden["act/x"], engine=engine)
        assert_close(got, self.golden[f"act/{kind}"], 1e-14, kind)

    @pytest.mark.parametrize(
        ("kind", "of"), [("ReLUlayer", "x"), ("LeakyReLUlayer", "LeakyReLU"), ("SigmoidLayer", "Sigmoid")]
    )
    def test_activation_backward(self, kind, of, engine):
        expected = self.golden[f"act/{kind[:-5]}{'Grad' if kind == 'SigmoidLayer' else 'grad'}"]
        got = getattr(inv, kind)().backward(self.golden["act/d"], self.golden[f"act/{of}"], engine=engine)
        assert_close(got, expected, 1e-14, kind)

    def test_galu_backward(self, engine):
        """The file does not hold the residual that went in, but the first half of the result gives it."""
        x, expected = self.golden["act/x"], self.golden["act/GaLUgrad"]
        gate = inv.SigmoidLayer().forward(np.asfortranarray(x[:, :, 3:]), engine=engine)
        d = np.asfortranarray(expected[:, :, :3] / gate)
        assert_close(inv.GaLUlayer().backward(d, x, engine=engine), expected, 1e-14, "GaLU")

    def test_sigmoid_inverse(self, engine):
        got = inv.SigmoidLayer().inverse(self.golden["act/Sigmoid"], engine=engine)
        assert_close(got, self.golden["act/SigmoidInv"], 1e-14, "SigmoidInv")


class TestDistributions:
    """The engines draw their own numbers, so the moments and the two-sample statistic are compared."""

    golden = Golden("distributions")
    n = 200_000

    @pytest.mark.parametrize("name", ["banana", "swirl"])
    def test_moments(self, name, engine):
        expected = self.golden.meta[name]
        X = getattr(inv, f"sample_{name}")(self.n, seed=5, engine=engine)
        assert X.dtype == np.float32 and X.shape == (1, 1, 2, self.n)
        points = X[0, 0].astype(np.float64)
        covariance = np.cov(points)
        sigma = np.sqrt(np.diag(covariance) * 2 / self.n)
        assert (np.abs(points.mean(axis=1) - expected["mean"]) < 4 * sigma).all()
        np.testing.assert_allclose(covariance, expected["cov"], atol=0.02 * np.trace(covariance))

    @pytest.mark.parametrize("name", ["banana", "swirl"])
    def test_marginals(self, name, engine):
        from scipy.stats import ks_2samp

        X = getattr(inv, f"sample_{name}")(2000, seed=6, engine=engine)
        for axis in range(2):
            assert ks_2samp(X[0, 0, axis], self.golden[name][0, 0, axis]).pvalue > 1e-3

    def test_seed(self, engine):
        X, Y, Z = (inv.sample_banana(10, seed=s, engine=engine) for s in (1, 1, 2))
        assert (X == Y).all() and (X != Z).any()
