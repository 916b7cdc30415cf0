"""What a network must satisfy without InvertibleNetworks.jl: its inverse, its log-determinant and its gradients, in
float64 and at tiny sizes.

The objective is `sum(C Z^2) / 2 - lgdet` with random `C`, curved even where a layer is linear; `backward` sets its
gradient.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ..networks.base.parameters import Parameter, get_params
from .cases import Run

STEPS = 10.0 ** -np.arange(4.5, 6.6, 0.5)
"""Small, so that few kinks of a ReLU are crossed on the way."""
DIRECTIONS = 5
"""Of which the middle slope counts: a kink spoils one of them, a wrong gradient all."""

BOUNDS = {"inverse": 1e-9, "lgdet": 1e-6, "input slope": 0.1, "parameter slope": 0.1}
"""How far each may be from what `EXPECTED` says."""
EXPECTED = {"inverse": 0, "lgdet": 0, "input slope": 2, "parameter slope": 2}


def checks(run: Run) -> dict[str, float]:
    """The quantities of `BOUNDS` that the case has."""
    found = {}
    if run.case.invertible:
        found["inverse"] = inverse_error(run)
    if run.case.logdet:
        found["lgdet"] = abs(run.lgdet - log_determinant(run))
    found["input slope"] = input_slope(run)
    found["parameter slope"] = parameter_slope(run)
    return found


def inverse_error(run: Run) -> float:
    """How far the inverse of `forward` is from its inputs, relative to their magnitude."""
    pairs = zip(run.inverse(), run.inputs, strict=False)
    return max(float(np.abs(got - expected).max() / np.abs(expected).max()) for got, expected in pairs)


def log_determinant(run: Run, h: float = 1e-5) -> float:
    """That of the Jacobian by central differences of step `h`; the mean over samples, which do not mix."""
    changed = run.inputs[:1] if run.conditional else run.inputs
    columns = []
    for x in changed:
        for index in np.ndindex(x.shape):
            ends = []
            for sign in (h, -h):
                moved = [a.copy(order="F") for a in run.inputs]
                next(m for m, a in zip(moved, run.inputs, strict=True) if a is x)[index] += sign
                outputs, _ = run.forward(moved)
                ends.append(np.concatenate([z.ravel() for z in outputs[: len(changed)]]))
            columns.append((ends[0] - ends[1]) / (2 * h))
    samples = next(a.shape[-1] for a in (*run.inputs, *run.outputs) if a.ndim > 1)
    return float(np.linalg.slogdet(np.array(columns))[1] / samples)


def input_slope(run: Run) -> float:
    """See `slope`."""
    gradients, _ = run.backward()

    def moved(steps: Iterable[np.ndarray]) -> float:
        return run.objective([np.asfortranarray(x + step) for x, step in zip(run.inputs, steps, strict=True)])

    return slope(moved, gradients, seed=23)


def parameter_slope(run: Run) -> float:
    """See `slope`."""
    run.backward()
    parameters, moved = objective_of_parameters(run)
    return slope(moved, [np.array(p.grad) for p in parameters], seed=29)


def objective_of_parameters(run: Run) -> tuple[list[Parameter], Callable[[Iterable[np.ndarray]], float]]:
    """The parameters whose gradient is the objective's, and the objective with steps added to them."""
    unlike = run.case.unlike
    parameters = [p for p in get_params(run.network) if not (unlike and re.search(unlike, p.name))]
    starts = [np.array(p.data) for p in parameters]

    def moved(steps: Iterable[np.ndarray]) -> float:
        for p, start, step in zip(parameters, starts, steps, strict=True):
            p.data = start + step
        return run.objective(run.inputs)

    return parameters, moved


def slope(objective: Callable[[Iterable[np.ndarray]], float], gradients: Sequence[np.ndarray], seed: int) -> float:
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
