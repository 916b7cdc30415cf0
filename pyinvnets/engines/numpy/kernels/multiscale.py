"""Latents of several scales, cut from one flat vector and joined into it.

Source: InvertibleNetworks.jl, src/utils/dimensionality_operations.jl (`cat_states`, `split_states`).
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from .anchors import NO_STATES
from .layout import split
from .reversible import Reversible


def part_shapes(n_in: int, spatial: tuple[int, ...], splits: list[bool]) -> list[tuple[int, ...]]:
    """Shapes `(n_channels, *spatial)`, without samples, of what leaves after each scale that splits, and of the rest.

    Each scale squeezes the image; `splits` says after which ones half of the channels leave.
    """
    shapes, channels = [], n_in
    for leaves in splits:
        spatial, channels = tuple(n // 2 for n in spatial), channels << len(spatial)
        if leaves:
            kept = round(channels / 2)
            shapes.append((channels - kept, *spatial))
            channels = kept
    return [*shapes, (channels, *spatial)]


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """One vector of all parts, each in Julia's order."""
    return np.concatenate([part.swapaxes(0, 1).ravel() for part in parts])


def parts_of(vector: np.ndarray, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """The inverse of `joined`, for as many samples as the vector holds."""
    sizes = [math.prod(shape) for shape in shapes]
    samples = vector.size // sum(sizes)
    cuts = np.cumsum([samples * size for size in sizes])[:-1]
    return [
        part.reshape(samples, *shape).swapaxes(0, 1).copy()
        for part, shape in zip(np.split(vector, cuts), shapes, strict=True)
    ]


class Unsqueezed:
    """Leaves images as they are, between scales that do not squeeze."""

    def forward(self, x):
        return x

    def inverse(self, y):
        return y


class SampleBySample(Reversible):
    """A network that treats each sample alone."""

    sample_by_sample = True

    def sizes(self, array: np.ndarray, latent: bool) -> list[int] | None:
        """Of data or a latent as the user has it: how many elements of a sample are in each of the parts that its
        memory holds one after the other; `None` where it holds one sample after the other."""


class Scales(SampleBySample):
    """What the multiscale networks share: the squeezes, and the splits after all scales but the last.

    Arrays go through in lanes, of one shape each: one, or two for a conditional network, or twice as many with
    their gradients.
    """

    def _set_scales(self, n_in: int, L: int, split_scales: bool, squeezer) -> None:
        self.n_in, self.L, self.split_scales, self.squeezer = n_in, L, split_scales, squeezer
        self.spatial = None

    def samples_of(self, latent: np.ndarray) -> int:
        """How many samples a flat latent holds."""
        return latent.size // (self.n_in * math.prod(self.spatial))

    def sizes(self, array: np.ndarray, latent: bool) -> list[int] | None:
        if array.ndim > 1:
            return None
        splits = [self._splits_after(i) for i in range(1, self.L + 1)]
        return [math.prod(shape) for shape in part_shapes(self.n_in, self.spatial, splits)]

    def _splits_after(self, i: int) -> bool:
        return self.split_scales and i < self.L

    def _down(self, step, *lanes):
        """At each scale squeeze, take `step(i, *lanes)`, which appends a log-determinant to the lanes, and split."""
        self.spatial = lanes[0].shape[2:]
        saved, logdet = [[] for _ in lanes], 0.0
        for i in range(1, self.L + 1):
            *lanes, term = step(i, *map(self.squeezer.forward, lanes))
            logdet += term
            if self._splits_after(i):
                pairs = [split(lane) for lane in lanes]
                lanes = [kept for kept, _ in pairs]
                for parts, (_, left) in zip(saved, pairs, strict=True):
                    parts.append(left)
        if self.split_scales:
            lanes = [joined([*parts, lane]) for parts, lane in zip(saved, lanes, strict=True)]
        return *lanes, logdet

    def _up(self, step, *lanes):
        """The way back."""
        saved, logdet = [[] for _ in lanes], 0.0
        if self.split_scales:
            shapes = part_shapes(self.n_in, self.spatial, [self._splits_after(i) for i in range(1, self.L + 1)])
            saved = [parts_of(lane, shapes) for lane in lanes]
            lanes = [parts.pop() for parts in saved]
        for i in range(self.L, 0, -1):
            if self._splits_after(i):
                lanes = [np.concatenate((lane, parts.pop())) for lane, parts in zip(lanes, saved, strict=True)]
            *lanes, term = step(i, *lanes)
            logdet += term
            lanes = map(self.squeezer.inverse, lanes)
        return *lanes, logdet


class FlowSteps(Scales):
    """One lane, and at each scale `K` steps of an ActNorm `AN[i, j]` and a coupling layer `CL[i, j]`."""

    fields = ("AN", "CL")
    has_steps = True

    def _step(self, i: int, j: int) -> int:
        return (i - 1) * self.K + j

    def _step_back(self, i: int, j: int) -> int:
        """The number of the same step on the way back."""
        return self._step(self.L, self.K) + 1 - self._step(i, j)

    def _forward_scale(self, states, i, x):
        logdet = 0.0
        for j in range(1, self.K + 1):
            x, term = self.AN[i, j].forward_term(x)
            x, term_coupling = self.CL[i, j].forward_term(x)
            logdet += term + term_coupling
            states.keep(self._step(i, j), x)
        return x, logdet

    def _inverse_scale(self, i, x):
        for j in range(self.K, 0, -1):
            x = self.AN[i, j].inverse(self.CL[i, j].inverse(x))
        return x, 0.0

    def _inverse_term_scale(self, states, i, x):
        logdet = 0.0
        for j in range(self.K, 0, -1):
            x, term_coupling = self.CL[i, j].inverse_term(x)
            x, term = self.AN[i, j].inverse_term(x)
            logdet += term + term_coupling
            states.keep(self._step_back(i, j), x)
        return x, logdet

    def _backward_scale(self, run, i, dx, x):
        for j in range(self.K, 0, -1):
            run.states.restore(self._step(i, j), x)
            dx, x = self.AN[i, j].backward(*self.CL[i, j].backward(dx, x, run=run), run)
        return dx, x, 0.0

    def _backward_inv_scale(self, run, i, dx, x):
        for j in range(1, self.K + 1):
            run.states.restore(self._step_back(i, j), x)
            dx, x = self.CL[i, j].backward_inv(*self.AN[i, j].backward_inv(dx, x, run), run=run)
        return dx, x, 0.0

    def _jacobian_scale(self, tangents, i, dx, x):
        for j in range(1, self.K + 1):
            dx, x = self.CL[i, j].jacobian(*self.AN[i, j].jacobian(dx, x, tangents), tangents)
        return dx, x, 0.0

    def forward_term(self, x, states=NO_STATES):
        return self._down(partial(self._forward_scale, states), x)

    def inverse(self, z):
        return self._up(self._inverse_scale, z)[0]

    def inverse_term(self, z, states=NO_STATES):
        return self._up(partial(self._inverse_term_scale, states), z)

    def backward(self, dz, z, run):
        return self._up(partial(self._backward_scale, run), dz, z)[:-1]

    def backward_inv(self, dx, x, run):
        return self._down(partial(self._backward_inv_scale, run), dx, x)[:-1]

    def jacobian(self, dx, x, tangents):
        return self._down(partial(self._jacobian_scale, tangents), dx, x)[:-1]
