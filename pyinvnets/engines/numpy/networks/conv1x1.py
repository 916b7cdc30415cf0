"""1x1 convolution by an orthogonal matrix, the product of three Householder reflections.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_conv1x1.jl, adapted there from Putzky and Welling (2019),
«Invert to Learn to Invert», https://arxiv.org/abs/1911.10914.
"""

from __future__ import annotations

import numpy as np

from ..kernels.layout import flat
from ..kernels.params import glorot_uniform
from ..kernels.reversible import Reversible


def _reflections(*vectors: np.ndarray) -> list[np.ndarray]:
    identity = np.eye(len(vectors[0]), dtype=vectors[0].dtype)
    return [identity - (2 / (v @ v)) * (v[:, None] * v) for v in vectors]


def _vector_gradient(v: np.ndarray, d_reflection: np.ndarray) -> np.ndarray:
    """The gradient of `v` from that of its reflection `I - 2 v v' / v'v`."""
    n = v @ v
    a_v = d_reflection @ v
    return (-2 / n) * (a_v + v @ d_reflection) + (4 * (v @ a_v) / n**2) * v


def _reflection_tangent(v: np.ndarray, dv: np.ndarray) -> np.ndarray:
    """The derivative along `dv` of the reflection of `v`."""
    n = v @ v
    return (-2 / n) * (np.outer(dv, v) + np.outer(v, dv)) + (4 * (v @ dv) / n**2) * np.outer(v, v)


class Conv1x1(Reversible):
    def __init__(self, rng, k: int, freeze: bool = False, logdet: bool = False) -> None:
        self.v1, self.v2, self.v3 = (glorot_uniform(rng, k) for _ in range(3))
        for p in (self.v1, self.v2, self.v3):
            p.frozen = freeze
        self.freeze, self.logdet = freeze, logdet

    fields = ("v1", "v2", "v3")

    @property
    def _vectors(self):
        return self.v1.data, self.v2.data, self.v3.data

    def matrix(self) -> np.ndarray:
        """The orthogonal matrix that `forward` applies to the channels."""
        h1, h2, h3 = _reflections(*self._vectors)
        return h3 @ h2 @ h1

    def forward_term(self, x):
        return (self.matrix() @ flat(x)).reshape(x.shape), 0.0

    def inverse_term(self, y):
        return (self.matrix().T @ flat(y)).reshape(y.shape), 0.0

    def inverse(self, y):
        x = self.inverse_term(y)
        return x if self.logdet else x[0]

    def backward(self, dy, y, run):
        h1, h2, h3 = _reflections(*self._vectors)
        q = h3 @ h2 @ h1
        x = (q.T @ flat(y)).reshape(y.shape)
        self._add_gradient(run.gradients, (h1, h2, h3), flat(dy) @ flat(x).T)
        return (q.T @ flat(dy)).reshape(y.shape), x

    def _matrix_tangent(self, tangents) -> tuple[np.ndarray, np.ndarray]:
        """The matrix, and its derivative along the vectors' tangents."""
        h1, h2, h3 = _reflections(*self._vectors)
        d1, d2, d3 = (_reflection_tangent(p.data, tangents[p]) for p in (self.v1, self.v2, self.v3))
        return h3 @ h2 @ h1, d3 @ h2 @ h1 + h3 @ d2 @ h1 + h3 @ h2 @ d1

    def jacobian(self, dx, x, tangents):
        q, dq = self._matrix_tangent(tangents)
        return (q @ flat(dx) + dq @ flat(x)).reshape(x.shape), (q @ flat(x)).reshape(x.shape)

    def jacobian_inverse(self, dy, y, tangents):
        q, dq = self._matrix_tangent(tangents)
        return (q.T @ flat(dy) + dq.T @ flat(y)).reshape(y.shape), (q.T @ flat(y)).reshape(y.shape)

    def backward_inv(self, dx, x, run):
        """The gradient of `inverse`: from that of its result, `dx`, and the result `x`."""
        h1, h2, h3 = _reflections(*self._vectors)
        q = h3 @ h2 @ h1
        y = (q @ flat(x)).reshape(x.shape)
        self._add_gradient(run.gradients, (h1, h2, h3), flat(y) @ flat(dx).T)
        return (q @ flat(dx)).reshape(x.shape), y

    def _add_gradient(self, gradients, reflections, d_matrix: np.ndarray) -> None:
        """Add to the vectors' gradients, as upstream does; a frozen layer adds zeros."""
        if self.freeze:
            for p in (self.v1, self.v2, self.v3):
                gradients.add(p, np.zeros_like(p.data))
            return
        h1, h2, h3 = reflections
        v1, v2, v3 = self._vectors
        d_h1 = d_matrix @ h1
        gradients.add(self.v1, _vector_gradient(v1, h2 @ (h3 @ d_matrix)))
        gradients.add(self.v2, _vector_gradient(v2, h3 @ d_h1))
        gradients.add(self.v3, _vector_gradient(v3, d_h1 @ h2))
