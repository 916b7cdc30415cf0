"""Mathematics that holds without InvertibleNetworks.jl, over all layers and networks: inverses, log-determinants and
gradients, in float64 and at tiny sizes."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.comparison import assert_close
from pyinvnets.validation import mathematics
from pyinvnets.validation.cases import CASES, REVERSED, Run

ALL = CASES | REVERSED


@pytest.fixture(params=ALL)
def run(request, engine):
    return Run(ALL[request.param], engine)


def test_round_trip(run):
    if not run.case.invertible:
        pytest.skip("not invertible")
    assert mathematics.inverse_error(run) < 1e-9


def test_arguments_are_not_changed(run):
    arguments = [*run.inputs, *run.outputs, *run.residuals]
    before = [x.copy() for x in arguments]
    run.forward(run.inputs)
    run.backward()
    if run.case.invertible:
        run.inverse()
    for x, copy in zip(arguments, before, strict=True):
        assert (x == copy).all()


def test_log_determinant(run):
    if not run.case.logdet:
        pytest.skip("no log-determinant")
    assert run.lgdet == pytest.approx(mathematics.log_determinant(run), abs=1e-6)


def test_backward_recomputes_the_inputs(run):
    for got, expected in zip(run.backward()[1], run.inputs, strict=False):
        assert_close(got, expected, 1e-9, "input recomputed")


def test_gradient_of_the_inputs(run):
    assert mathematics.input_slope(run) == pytest.approx(2, abs=0.1)


def test_gradient_of_the_parameters(run):
    assert mathematics.parameter_slope(run) == pytest.approx(2, abs=0.1)


def test_a_flipped_sign_is_seen(run):
    """The test above fails where one parameter's gradient, the largest, has the wrong sign."""
    run.backward()
    parameters, moved = mathematics.objective_of_parameters(run)
    gradients = [p.grad.copy() for p in parameters]
    max(gradients, key=np.linalg.norm)[:] *= -1
    assert mathematics.slope(moved, gradients, seed=31) == pytest.approx(1, abs=0.1)
