"""HINT: its recursive coupling layer, its networks, and both for pairs of data and observation.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_hint.jl, src/conditional_layers/conditional_layer_hint.jl,
src/networks/invertible_network_hint_multiscale.jl, src/networks/invertible_network_conditional_hint.jl and
src/networks/invertible_network_conditional_hint_multiscale.jl; Kruse et al. (2021), «HINT: Hierarchical Invertible
Neural Transport for Density Estimation and Bayesian Inference», https://arxiv.org/abs/1905.10687.
"""

from __future__ import annotations

import numpy as np

from ..kernels.anchors import NO_STATES
from ..kernels.layout import split
from ..kernels.multiscale import FlowSteps, SampleBySample, Scales
from ..kernels.reversible import Reversible
from ..kernels.squeezers import ShuffleLayer, WaveletLayer
from .actnorm import ActNorm
from .conv1x1 import Conv1x1
from .coupling import CouplingLayerBasic

FINEST = 4
"""So many channels or fewer are coupled without going deeper."""


def depth(n_in: int) -> int:
    return 1 if n_in <= FINEST else 1 + depth(n_in // 2)


class CouplingLayerHINT(Reversible):
    """Works in place on `x`, except for the 1x1 convolution.

    A block used twice keeps the gradient of its last use, as upstream has it, unless the pass sums them.
    """

    def __init__(self, rng, n_in, n_hidden, logdet=False, permute="none", **options) -> None:
        self.CL = [
            CouplingLayerBasic(rng, n_in >> level, n_hidden, logdet=logdet, **options)
            for level in range(1, depth(n_in) + 1)
        ]
        self.C = None if permute == "none" else Conv1x1(rng, n_in // 2 if permute == "lower" else n_in)
        self.logdet, self.permute = logdet, permute
        self.fields = ("CL",) if permute == "none" else ("CL", "C")

    # The recursion

    def _couple(self, x, level=0) -> float | np.ndarray:
        xa, xb = split(x)
        if len(x) <= FINEST:
            return self.CL[level].forward_term(xa, xb)[2]
        term = self._couple(xb, level + 1)
        term += self.CL[level].forward_term(xa, xb)[2]
        return term + self._couple(xa, level + 1)

    def _uncouple(self, y, level=0) -> float | np.ndarray:
        ya, yb = split(y)
        if len(y) <= FINEST:
            return self.CL[level].inverse_term(ya, yb)[2]
        term = self._uncouple(ya, level + 1)
        term += self.CL[level].inverse_term(ya, yb)[2]
        return term + self._uncouple(yb, level + 1)

    def _backward(self, dy, y, run, level=0) -> None:
        (dya, dyb), (ya, yb) = split(dy), split(y)
        if len(y) > FINEST:
            self._backward(dya, ya, run, level + 1)
        self.CL[level].backward(dya, dyb, ya, yb, run)
        if len(y) > FINEST:
            first = [run.gradients.get(p).copy() for p in self._deeper(level)] if run.sums_shared else []
            self._backward(dyb, yb, run, level + 1)
            for p, gradient in zip(self._deeper(level), first, strict=False):
                run.gradients.add(p, gradient)

    def _deeper(self, level):
        """The parameters of the blocks that both halves of this level use."""
        return [getattr(layer.RB, field) for layer in self.CL[level + 1 :] for field in layer.RB.fields]

    def _jacobian(self, dx, x, tangents, level=0) -> None:
        (dxa, dxb), (xa, xb) = split(dx), split(x)
        if len(x) > FINEST:
            self._jacobian(dxb, xb, tangents, level + 1)
        self.CL[level].jacobian(dxa, dxb, xa, xb, tangents)
        if len(x) > FINEST:
            self._jacobian(dxa, xa, tangents, level + 1)

    def _backward_inv(self, dx, x, run, level=0) -> None:
        (dxa, dxb), (xa, xb) = split(dx), split(x)
        if len(x) > FINEST:
            self._backward_inv(dxb, xb, run, level + 1)
        self.CL[level].backward_inv(dxa, dxb, xa, xb, run)
        if len(x) > FINEST:
            self._backward_inv(dxa, xa, run, level + 1)

    # The permutation around it

    def forward_term(self, x):
        if self.permute in ("full", "both"):
            x = self.C.forward(x)
        elif self.permute == "lower":
            xb = split(x)[1]
            xb[...] = self.C.forward(xb)
        term = self._couple(x)
        return (self.C.inverse(x) if self.permute == "both" else x), term

    def inverse_term(self, y):
        if self.permute == "both":
            y = self.C.forward(y)
        term = self._uncouple(y)
        if self.permute in ("full", "both"):
            y = self.C.inverse(y)
        elif self.permute == "lower":
            yb = split(y)[1]
            yb[...] = self.C.inverse(yb)
        return y, term

    def backward(self, dy, y, run):
        if self.permute == "both":
            dy, y = self.C.backward_inv(dy, y, run)
        self._backward(dy, y, run)
        if self.permute in ("full", "both"):
            return self.C.backward(dy, y, run)
        if self.permute == "lower":
            (_, dyb), (_, yb) = split(dy), split(y)
            dyb[...], yb[...] = self.C.backward(dyb, yb, run)
        return dy, y

    def jacobian(self, dx, x, tangents):
        if self.permute in ("full", "both"):
            dx, x = self.C.jacobian(dx, x, tangents)
        elif self.permute == "lower":
            (_, dxb), (_, xb) = split(dx), split(x)
            dxb[...], xb[...] = self.C.jacobian(dxb, xb, tangents)
        self._jacobian(dx, x, tangents)
        return self.C.jacobian_inverse(dx, x, tangents) if self.permute == "both" else (dx, x)

    def backward_inv(self, dx, x, run):
        if self.permute in ("full", "both"):
            dx, x = self.C.backward_inv(dx, x, run)
        elif self.permute == "lower":
            (_, dxb), (_, xb) = split(dx), split(x)
            dxb[...], xb[...] = self.C.backward_inv(dxb, xb, run)
        self._backward_inv(dx, x, run)
        return self.C.backward(dx, x, run) if self.permute == "both" else (dx, x)


class ConditionalHINT(Reversible):
    """Two lanes, of which `y` can be transformed alone: `forward_Y_term` appends the log-determinant of this lane."""

    lanes = 2

    def forward_Y(self, y):
        return self.forward_Y_term(y)[0]


class ConditionalLayerHINT(ConditionalHINT):
    def __init__(self, rng, n_in, n_hidden, logdet=True, permute=True, **options) -> None:
        self.CL_X = CouplingLayerHINT(rng, n_in, n_hidden, logdet=logdet, **options)
        self.CL_Y = CouplingLayerHINT(rng, n_in, n_hidden, logdet=logdet, **options)
        self.CL_YX = CouplingLayerBasic(rng, n_in, n_hidden, logdet=logdet, **options)
        self.fields = ("CL_X", "CL_Y", "CL_YX")
        if permute:
            self.C_X, self.C_Y = Conv1x1(rng, n_in), Conv1x1(rng, n_in)
            self.fields += ("C_X", "C_Y")
        self.logdet, self.permute = logdet, permute

    def forward_term(self, x, y):
        if self.permute:
            x, y = self.C_X.forward(x), self.C_Y.forward(y)
        x, term_x = self.CL_X.forward_term(x)
        # The condition is `y` before its own coupling, which works in place.
        y, x, term_yx = self.CL_YX.forward_term(y, x)
        y, term_y = self.CL_Y.forward_term(y)
        return x, y, term_x + term_y + term_yx

    def inverse_term(self, x, y):
        y, term_y = self.CL_Y.inverse_term(y)
        y, x, term_yx = self.CL_YX.inverse_term(y, x)
        x, term_x = self.CL_X.inverse_term(x)
        if self.permute:
            x, y = self.C_X.inverse(x), self.C_Y.inverse(y)
        return x, y, term_x + term_y + term_yx

    def backward(self, dx, dy, x, y, run):
        dy, y = self.CL_Y.backward(dy, y, run)
        dy, dx, y, x = self.CL_YX.backward(dy, dx, y, x, run)
        dx, x = self.CL_X.backward(dx, x, run)
        if self.permute:
            dx, x = self.C_X.backward(dx, x, run)
            dy, y = self.C_Y.backward(dy, y, run)
        return dx, dy, x, y

    def backward_inv(self, dx, dy, x, y, run):
        if self.permute:
            dx, x = self.C_X.backward_inv(dx, x, run)
            dy, y = self.C_Y.backward_inv(dy, y, run)
        dx, x = self.CL_X.backward_inv(dx, x, run)
        dy, dx, y, x = self.CL_YX.backward_inv(dy, dx, y, x, run)
        dy, y = self.CL_Y.backward_inv(dy, y, run)
        return dx, dy, x, y

    def jacobian(self, dx, dy, x, y, tangents):
        if self.permute:
            dx, x = self.C_X.jacobian(dx, x, tangents)
            dy, y = self.C_Y.jacobian(dy, y, tangents)
        dx, x = self.CL_X.jacobian(dx, x, tangents)
        dy, dx, y, x = self.CL_YX.jacobian(dy, dx, y, x, tangents)
        dy, y = self.CL_Y.jacobian(dy, y, tangents)
        return dx, dy, x, y

    def forward_Y_term(self, y):
        return self.CL_Y.forward_term(self.C_Y.forward(y) if self.permute else y)

    def inverse_Y(self, y):
        y, _ = self.CL_Y.inverse_term(y)
        return self.C_Y.inverse(y) if self.permute else y


class Step:
    """One flow step over both lanes: an ActNorm each, and a conditional layer."""

    def __init__(self, rng, n_in, n_hidden, logdet, **options) -> None:
        self.AN_X, self.AN_Y = ActNorm(rng, n_in, logdet=logdet), ActNorm(rng, n_in, logdet=logdet)
        self.CL = ConditionalLayerHINT(rng, n_in, n_hidden, logdet=logdet, **options)

    def forward_term(self, x, y):
        x, term_x = self.AN_X.forward_term(x)
        y, term_y = self.AN_Y.forward_term(y)
        x, y, term = self.CL.forward_term(x, y)
        return x, y, term_x + term_y + term

    def inverse_term(self, x, y):
        x, y, term = self.CL.inverse_term(x, y)
        y, term_y = self.AN_Y.inverse_term(y)
        x, term_x = self.AN_X.inverse_term(x)
        return x, y, term_x + term_y + term

    def backward(self, dx, dy, x, y, run):
        dx, dy, x, y = self.CL.backward(dx, dy, x, y, run)
        dx, x = self.AN_X.backward(dx, x, run)
        dy, y = self.AN_Y.backward(dy, y, run)
        return dx, dy, x, y

    def backward_inv(self, dx, dy, x, y, run):
        dx, x = self.AN_X.backward_inv(dx, x, run)
        dy, y = self.AN_Y.backward_inv(dy, y, run)
        return self.CL.backward_inv(dx, dy, x, y, run)

    def jacobian(self, dx, dy, x, y, tangents):
        dx, x = self.AN_X.jacobian(dx, x, tangents)
        dy, y = self.AN_Y.jacobian(dy, y, tangents)
        return self.CL.jacobian(dx, dy, x, y, tangents)

    def forward_Y_term(self, y):
        y, term = self.AN_Y.forward_term(y)
        y, term_coupling = self.CL.forward_Y_term(y)
        return y, term + term_coupling

    def inverse_Y(self, y):
        return self.AN_Y.inverse(self.CL.inverse_Y(y))


def through(steps, mode, *lanes, states=NO_STATES, before=0):
    """The lanes after all steps, and the sum of their log-determinants; `before` is how many steps came before."""
    logdet = 0.0
    for number, step in enumerate(steps, before + 1):
        *lanes, term = getattr(step, mode)(*lanes)
        states.keep(number, *lanes)
        logdet += term
    return *lanes, logdet


def back(steps, run, *lanes, before=0):
    """The way back through all steps: gradients and states, in two lanes each."""
    for number in range(len(steps), 0, -1):
        run.states.restore(before + number, *lanes[2:])
        lanes = steps[number - 1].backward(*lanes, run)
    return lanes


def back_inv(steps, run, *lanes, after=0):
    """The way back of the inverse, which went through `after` steps before these."""
    for number, step in zip(range(after + len(steps), after, -1), steps, strict=True):
        run.states.restore(number, *lanes[2:])
        lanes = step.backward_inv(*lanes, run)
    return lanes


def chain(steps, mode, given, *lanes):
    """The lanes after all steps, for modes without a log-determinant; each step is given the same besides them."""
    for step in steps:
        lanes = getattr(step, mode)(*lanes, *given)
        lanes = lanes if isinstance(lanes, tuple) else (lanes,)
    return lanes


class NetworkConditionalHINT(ConditionalHINT, SampleBySample):
    def __init__(self, rng, n_in, n_hidden, depth, logdet=True, **options) -> None:
        self.steps = [Step(rng, n_in, n_hidden, logdet, **options) for _ in range(depth)]
        self.AN_X, self.AN_Y, self.CL = ([getattr(s, f) for s in self.steps] for f in self.fields)
        self.logdet = logdet

    fields = ("AN_X", "AN_Y", "CL")
    has_steps = True

    def forward_term(self, x, y, states=NO_STATES):
        return through(self.steps, "forward_term", x, y, states=states)

    def inverse_term(self, x, y, states=NO_STATES):
        return through(self.steps[::-1], "inverse_term", x, y, states=states)

    def backward(self, dx, dy, x, y, run):
        return back(self.steps, run, dx, dy, x, y)

    def backward_inv(self, dx, dy, x, y, run):
        return back_inv(self.steps, run, dx, dy, x, y)

    def jacobian(self, dx, dy, x, y, tangents):
        return chain(self.steps, "jacobian", (tangents,), dx, dy, x, y)

    def forward_Y_term(self, y):
        return through(self.steps, "forward_Y_term", y)

    def inverse_Y(self, y):
        return chain(self.steps[::-1], "inverse_Y", (), y)[0]


class NetworkMultiScaleConditionalHINT(ConditionalHINT, Scales):
    def __init__(
        self, rng, n_in, n_hidden, L, K, split_scales=False, logdet=True, ndims=2, squeezer=None, **options
    ) -> None:
        self._set_scales(n_in, L, split_scales, squeezer or ShuffleLayer())
        self.logdet = logdet
        self.steps = []
        for i in range(1, L + 1):
            n_in <<= ndims
            self.steps.append([Step(rng, n_in, n_hidden, logdet, ndims=ndims, **options) for _ in range(K)])
            if self._splits_after(i):
                n_in //= 2
        self.AN_X, self.AN_Y, self.CL = (
            {(i, j): getattr(step, f) for i, row in enumerate(self.steps, 1) for j, step in enumerate(row, 1)}
            for f in self.fields
        )

    fields = ("AN_X", "AN_Y", "CL")
    has_steps = True

    def forward_term(self, x, y, states=NO_STATES):
        def step(i, *lanes):
            return through(self.steps[i - 1], "forward_term", *lanes, states=states, before=self._before(i))

        return self._down(step, x, y)

    def _before(self, i: int) -> int:
        return sum(map(len, self.steps[: i - 1]))

    def _after(self, i: int) -> int:
        return sum(map(len, self.steps[i:]))

    def inverse_term(self, x, y, states=NO_STATES):
        def step(i, *lanes):
            return through(self.steps[i - 1][::-1], "inverse_term", *lanes, states=states, before=self._after(i))

        return self._up(step, x, y)

    def backward(self, dx, dy, x, y, run):
        return self._up(
            lambda i, *lanes: (*back(self.steps[i - 1], run, *lanes, before=self._before(i)), 0.0), dx, dy, x, y
        )[:-1]

    def backward_inv(self, dx, dy, x, y, run):
        return self._down(
            lambda i, *lanes: (*back_inv(self.steps[i - 1], run, *lanes, after=self._after(i)), 0.0), dx, dy, x, y
        )[:-1]

    def jacobian(self, dx, dy, x, y, tangents):
        return self._down(
            lambda i, *lanes: (*chain(self.steps[i - 1], "jacobian", (tangents,), *lanes), 0.0), dx, dy, x, y
        )[:-1]

    def forward_Y_term(self, y):
        return self._down(lambda i, *lanes: through(self.steps[i - 1], "forward_Y_term", *lanes), y)

    def inverse_Y(self, y):
        return self._up(lambda i, *lanes: (*chain(self.steps[i - 1][::-1], "inverse_Y", (), *lanes), 0.0), y)[0]


class NetworkMultiScaleHINT(FlowSteps):
    logdet = True

    def __init__(self, rng, n_in, n_hidden, L, K, split_scales=False, ndims=2, **options) -> None:
        self._set_scales(n_in, L, split_scales, WaveletLayer())
        self.K = K
        self.AN, self.CL = {}, {}
        for i in range(1, L + 1):
            n_in <<= ndims
            for j in range(1, K + 1):
                self.AN[i, j] = ActNorm(rng, n_in, logdet=True)
                self.CL[i, j] = CouplingLayerHINT(
                    rng, n_in, n_hidden, logdet=True, permute="full", ndims=ndims, **options
                )
            if self._splits_after(i):
                n_in //= 2
