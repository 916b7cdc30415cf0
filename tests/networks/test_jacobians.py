"""Derivatives along a direction, and their adjoints."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from helpers.golden_files import Golden
from pyinvnets.validation.cases import CASES, Run


def differentiable(case):
    network = case.make(engine="numpy", seed=1)
    return hasattr(network, "jacobian") and network.signature.no_jacobian is None


DIFFERENTIABLE = [name for name, case in CASES.items() if differentiable(case)]


@pytest.fixture(params=DIFFERENTIABLE)
def run(request, engine):
    return Run(CASES[request.param], engine)


def random_like(arrays, seed):
    rng = np.random.default_rng(seed)
    return [np.asfortranarray(rng.standard_normal(a.shape)) for a in arrays]


def directions(network, seed):
    rng = np.random.default_rng(seed)
    return {p.name: rng.standard_normal(p.shape) for p in inv.get_params(network)}


def adjoint(run, residuals):
    """The gradients of the inputs and of the parameters."""
    given = run.inputs if not run.case.invertible else run.outputs
    results = run.network.adjoint_jacobian(*residuals, *given)
    half = len(run.inputs)
    return results[:half], results[half]


def test_derivative(run):
    """Against central differences."""
    tangents, dtheta = random_like(run.inputs, 41), directions(run.network, 42)
    results = run.network.jacobian(*tangents, dtheta, *run.inputs)
    half = len(results) // 2
    for got, expected in zip(results[half:], run.outputs, strict=True):
        assert_close(got, expected, 1e-12, "output")

    starts = {p.name: p.data.copy() for p in inv.get_params(run.network)}

    def moved(h):
        for p in inv.get_params(run.network):
            p.data = starts[p.name] + h * dtheta[p.name]
        return run.forward([np.asfortranarray(x + h * v) for x, v in zip(run.inputs, tangents, strict=True)])[0]

    h = 1e-6
    for got, ahead, behind in zip(results[:half], moved(h), moved(-h), strict=True):
        assert_close(got, (ahead - behind) / (2 * h), 1e-6, "derivative")


def test_adjoint(run):
    """`<J v, w> = <v, J' w>`; the parameters' own gradients are not touched."""
    run.backward()
    before = {p.name: p.grad.copy() for p in inv.get_params(run.network)}
    tangents, dtheta = random_like(run.inputs, 43), directions(run.network, 44)
    residuals = random_like(run.outputs, 45)
    results = run.network.jacobian(*tangents, dtheta, *run.inputs)
    left = sum((a * b).sum() for a, b in zip(results, residuals, strict=False))
    gradients, by_name = adjoint(run, residuals)
    right = sum((a * b).sum() for a, b in zip(gradients, tangents, strict=True))
    right += sum((by_name[name] * v).sum() for name, v in dtheta.items())
    assert left == pytest.approx(right, rel=1e-9)
    for p in inv.get_params(run.network):
        assert (p.grad == before[p.name]).all()


def test_golden(engine):
    golden = Golden("jacobian_glow")
    network = inv.NetworkGlow(4, 6, 1, 2, engine=engine)
    network.load_state_dict(golden.group("param"))
    dY, Y = network.jacobian(golden["dX"], golden.group("dtheta"), golden["in/0"])
    assert_close(dY, golden["jvp"], 2e-4, "derivative")
    assert_close(Y, golden["out/0"], 2e-4, "output")
    expected = golden.group("vjp")
    dX, dtheta, X = network.adjoint_jacobian(golden["dY"], golden["out/0"])
    assert_close(dX, expected.pop("X"), 2e-4, "gradient of the input")
    assert_close(X, golden["in/0"], 2e-4, "input")
    assert set(dtheta) == set(expected)
    for name, array in expected.items():
        assert_close(dtheta[name], array, 2e-4, name)


def test_operator(engine):
    golden = Golden("jacobian_glow")
    network = inv.NetworkGlow(4, 6, 1, 2, engine=engine)
    network.load_state_dict(golden.group("param"))
    J = inv.Jacobian(network, golden["in/0"])
    v = np.concatenate([golden[f"dtheta/{p.name}"].ravel("F") for p in inv.get_params(network)])
    dY, _ = network.jacobian(0 * golden["dX"], golden.group("dtheta"), golden["in/0"])
    assert J.shape == (golden["out/0"].size, v.size) and J.dtype == np.float32
    assert_close(J @ v, dY.ravel("F"), 1e-6, "J v")
    w = golden["dY"].ravel("F")
    assert np.dot(J @ v, w) == pytest.approx(np.dot(v, J.H @ w), rel=1e-4)


def test_left_out_parameters_do_not_move(engine):
    network = inv.CouplingLayerGlow(4, 4, engine=engine, seed=1)
    X = np.ones((2, 2, 4, 1), np.float32, order="F")
    dY, _ = network.jacobian(0 * X, {}, X)
    assert (dY == 0).all()


def test_errors(engine):
    network = inv.NetworkGlow(2, 4, 1, 1, engine=engine, seed=1)
    X = inv.sample_banana(5, seed=1, engine=engine)
    with pytest.raises(ValueError, match="not initialised"):
        network.jacobian(X, {}, X)
    network.forward(X)
    with pytest.raises(ValueError, match="no parameter"):
        network.jacobian(X, {"CL[9,9].C.v1": np.ones(2)}, X)
    with pytest.raises(ValueError, match="shape"):
        network.jacobian(X, {"CL[1,1].C.v1": np.ones(3)}, X)
    reversed_layer = inv.reverse(inv.ActNorm(2, engine=engine))
    with pytest.raises(TypeError, match="no derivative of a reversed network"):
        reversed_layer.jacobian(X, {}, X)
    with pytest.raises(TypeError, match="Jacobian"):
        inv.Jacobian(reversed_layer, X)


def test_an_operator_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    with pytest.raises(ImportError, match="pip install scipy"):
        inv.Jacobian(inv.Conv1x1(2, engine="numpy", seed=1), np.zeros((1, 1, 2, 1), np.float32))
