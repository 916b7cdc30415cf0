"""The conditional HINT layer, and the networks of such layers over two lanes: `x`, and `y` that conditions it.

Source: InvertibleNetworks.jl, src/conditional_layers/conditional_layer_hint.jl,
src/networks/invertible_network_conditional_hint.jl and invertible_network_conditional_hint_multiscale.jl; Kruse et
al. (2021), «HINT: Hierarchical Invertible Neural Transport for Density Estimation and Bayesian Inference»,
https://arxiv.org/abs/1905.10687.
"""

from __future__ import annotations

from .actnorm import ActNorm
from .conv1x1 import Conv1x1
from .coupling_basic import CouplingLayerBasic
from .coupling_hint import CouplingLayerHINT
from .multiscale import Scales
from .reversible import Reversible
from .squeezers import ShuffleLayer


class ConditionalHINT(Reversible):
    """Two lanes, of which `y` can be transformed alone: `forward_Y_term` appends the log-determinant of this lane."""

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

    def backward(self, dx, dy, x, y):
        dy, y = self.CL_Y.backward(dy, y)
        dy, dx, y, x = self.CL_YX.backward(dy, dx, y, x)
        dx, x = self.CL_X.backward(dx, x)
        if self.permute:
            dx, x = self.C_X.backward(dx, x)
            dy, y = self.C_Y.backward(dy, y)
        return dx, dy, x, y

    def backward_inv(self, dx, dy, x, y):
        if self.permute:
            dx, x = self.C_X.backward_inv(dx, x)
            dy, y = self.C_Y.backward_inv(dy, y)
        dx, x = self.CL_X.backward_inv(dx, x)
        dy, dx, y, x = self.CL_YX.backward_inv(dy, dx, y, x)
        dy, y = self.CL_Y.backward_inv(dy, y)
        return dx, dy, x, y

    def jacobian(self, dx, dy, x, y):
        if self.permute:
            dx, x = self.C_X.jacobian(dx, x)
            dy, y = self.C_Y.jacobian(dy, y)
        dx, x = self.CL_X.jacobian(dx, x)
        dy, dx, y, x = self.CL_YX.jacobian(dy, dx, y, x)
        dy, y = self.CL_Y.jacobian(dy, y)
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

    def backward(self, dx, dy, x, y):
        dx, dy, x, y = self.CL.backward(dx, dy, x, y)
        dx, x = self.AN_X.backward(dx, x)
        dy, y = self.AN_Y.backward(dy, y)
        return dx, dy, x, y

    def backward_inv(self, dx, dy, x, y):
        dx, x = self.AN_X.backward_inv(dx, x)
        dy, y = self.AN_Y.backward_inv(dy, y)
        return self.CL.backward_inv(dx, dy, x, y)

    def jacobian(self, dx, dy, x, y):
        dx, x = self.AN_X.jacobian(dx, x)
        dy, y = self.AN_Y.jacobian(dy, y)
        return self.CL.jacobian(dx, dy, x, y)

    def forward_Y_term(self, y):
        y, term = self.AN_Y.forward_term(y)
        y, term_coupling = self.CL.forward_Y_term(y)
        return y, term + term_coupling

    def inverse_Y(self, y):
        return self.AN_Y.inverse(self.CL.inverse_Y(y))


def run(steps, mode, *lanes):
    """The lanes after all steps, and the sum of their log-determinants."""
    logdet = 0.0
    for step in steps:
        *lanes, term = getattr(step, mode)(*lanes)
        logdet += term
    return *lanes, logdet


def chain(steps, mode, *lanes):
    """The lanes after all steps, for modes without a log-determinant."""
    for step in steps:
        lanes = getattr(step, mode)(*lanes)
        lanes = lanes if isinstance(lanes, tuple) else (lanes,)
    return lanes


class NetworkConditionalHINT(ConditionalHINT):
    def __init__(self, rng, n_in, n_hidden, depth, logdet=True, **options) -> None:
        self.steps = [Step(rng, n_in, n_hidden, logdet, **options) for _ in range(depth)]
        self.AN_X, self.AN_Y, self.CL = ([getattr(s, f) for s in self.steps] for f in self.fields)
        self.logdet = logdet

    fields = ("AN_X", "AN_Y", "CL")

    def forward_term(self, x, y):
        return run(self.steps, "forward_term", x, y)

    def inverse_term(self, x, y):
        return run(self.steps[::-1], "inverse_term", x, y)

    def backward(self, dx, dy, x, y):
        return chain(self.steps[::-1], "backward", dx, dy, x, y)

    def backward_inv(self, dx, dy, x, y):
        return chain(self.steps, "backward_inv", dx, dy, x, y)

    def jacobian(self, dx, dy, x, y):
        return chain(self.steps, "jacobian", dx, dy, x, y)

    def forward_Y_term(self, y):
        return run(self.steps, "forward_Y_term", y)

    def inverse_Y(self, y):
        return chain(self.steps[::-1], "inverse_Y", y)[0]


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

    def forward_term(self, x, y):
        return self._down(lambda i, *lanes: run(self.steps[i - 1], "forward_term", *lanes), x, y)

    def inverse_term(self, x, y):
        return self._up(lambda i, *lanes: run(self.steps[i - 1][::-1], "inverse_term", *lanes), x, y)

    def backward(self, dx, dy, x, y):
        return self._up(lambda i, *lanes: (*chain(self.steps[i - 1][::-1], "backward", *lanes), 0.0), dx, dy, x, y)[:-1]

    def backward_inv(self, dx, dy, x, y):
        return self._down(lambda i, *lanes: (*chain(self.steps[i - 1], "backward_inv", *lanes), 0.0), dx, dy, x, y)[:-1]

    def jacobian(self, dx, dy, x, y):
        return self._down(lambda i, *lanes: (*chain(self.steps[i - 1], "jacobian", *lanes), 0.0), dx, dy, x, y)[:-1]

    def forward_Y_term(self, y):
        return self._down(lambda i, *lanes: run(self.steps[i - 1], "forward_Y_term", *lanes), y)

    def inverse_Y(self, y):
        return self._up(lambda i, *lanes: (*chain(self.steps[i - 1][::-1], "inverse_Y", *lanes), 0.0), y)[0]
