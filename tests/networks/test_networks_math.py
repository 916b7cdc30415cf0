"""Mathematics that holds without InvertibleNetworks.jl, over all layers and networks: inverses, log-determinants and
gradients, in float64 and at tiny sizes.

The objective is `sum(C Z^2) / 2 - lgdet` with random `C`, curved even where a layer is linear; `backward` sets its
gradient.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from pyinvnets.validation.cases import CASES, REVERSED, Run

ALL = CASES | REVERSED

STEPS = 10.0 ** -np.arange(4.5, 6.6, 0.5)
"""Small, so that few kinks of a ReLU are crossed on the way."""
DIRECTIONS = 5
"""Of which the middle slope counts: a kink spoils one of them, a wrong gradient all."""


def slope(objective, gradients, seed) -> float:
    """Of the error of the first-order Taylor expansion, on logarithmic axes: two where `gradients` are right.

    `objective(steps)` is the objective with `steps` added to what the gradients belong to.
    """
    rng = np.random.default_rng(seed)
    start = objective([0 * g for g in gradients])
    slopes = []
    for _ in range(DIRECTIONS):
        directions = [rng.standard_normal(g.shape) for g in gradients]
        derivative = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
        errors = [abs(objective([h * v for v in directions]) - start - h * derivative) for h in STEPS]
        slopes.append(np.polyfit(np.log(STEPS), np.log(errors), 1)[0])
    return float(np.median(slopes))


@pytest.fixture(params=ALL)
def run(request, engine):
    return Run(ALL[request.param], engine)


def test_round_trip(run):
    if not run.case.invertible:
        pytest.skip("not invertible")
    for got, expected in zip(run.inverse(), run.inputs, strict=False):
        assert_close(got, expected, 1e-9, "inverse")


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
    """Against the Jacobian by central differences; the mean over samples, which do not mix."""
    if not run.case.logdet:
        pytest.skip("no log-determinant")
    changed = run.inputs[:1] if run.conditional else run.inputs
    h, columns = 1e-5, []
    for x in changed:
        for index in np.ndindex(x.shape):
            ends = []
            for sign in (h, -h):
                moved = [a.copy(order="F") for a in run.inputs]
                next(m for m, a in zip(moved, run.inputs, strict=True) if a is x)[index] += sign
                outputs, _ = run.forward(moved)
                ends.append(np.concatenate([z.ravel() for z in outputs[: len(changed)]]))
            columns.append((ends[0] - ends[1]) / (2 * h))
    _, expected = np.linalg.slogdet(np.array(columns))
    samples = next(a.shape[-1] for a in (*run.inputs, *run.outputs) if a.ndim > 1)
    assert run.lgdet == pytest.approx(expected / samples, abs=1e-6)


def test_backward_recomputes_the_inputs(run):
    for got, expected in zip(run.backward()[1], run.inputs, strict=False):
        assert_close(got, expected, 1e-9, "input recomputed")


def test_gradient_of_the_inputs(run):
    gradients, _ = run.backward()

    def moved(steps):
        return run.objective([np.asfortranarray(x + step) for x, step in zip(run.inputs, steps, strict=True)])

    assert slope(moved, gradients, seed=23) == pytest.approx(2, abs=0.1)


def objective_of_parameters(run):
    """The parameters whose gradient is the objective's, and the objective with steps added to them."""
    parameters = [
        p for p in inv.get_params(run.network) if not (run.case.unlike and re.search(run.case.unlike, p.name))
    ]
    starts = [p.data.copy() for p in parameters]

    def moved(steps):
        for p, start, step in zip(parameters, starts, steps, strict=True):
            p.data = start + step
        return run.objective(run.inputs)

    return parameters, moved


def test_gradient_of_the_parameters(run):
    run.backward()
    parameters, moved = objective_of_parameters(run)
    assert slope(moved, [p.grad.copy() for p in parameters], seed=29) == pytest.approx(2, abs=0.1)


def test_a_flipped_sign_is_seen(run):
    """The test above fails where one parameter's gradient has the wrong sign."""
    run.backward()
    parameters, moved = objective_of_parameters(run)
    gradients = [p.grad.copy() for p in parameters]
    gradients[len(gradients) // 2] *= -1
    assert slope(moved, gradients, seed=31) == pytest.approx(1, abs=0.1)
