"""Layers whose inverse has a log-determinant and a gradient of its own, and the reversed layer made of one.

A reversible layer has `forward_term` and `inverse_term`, which append the log-determinant of its forward direction
(zero where it is not tracked), and `backward_inv`, the gradient of its inverse.

Source: InvertibleNetworks.jl, src/utils/neuralnet.jl.
"""

from __future__ import annotations

import copy


def bare(results):
    """A single result without its tuple."""
    return results[0] if len(results) == 1 else tuple(results)


class Reversible:
    def forward(self, *arrays, **states):
        *results, term = self.forward_term(*arrays, **states)
        return (*results, term) if self.logdet else bare(results)

    def inverse(self, *arrays):
        return bare(self.inverse_term(*arrays)[:-1])


class Reversed:
    """A copy of a reversible layer, run the other way. Its parameters keep their names."""

    def __init__(self, rng, network) -> None:
        self.layer = copy.deepcopy(network)
        self.fields = self.layer.fields
        for field in self.fields:
            setattr(self, field, getattr(self.layer, field))

    @property
    def spatial(self):
        return self.layer.spatial

    @spatial.setter
    def spatial(self, value) -> None:
        self.layer.spatial = value

    @property
    def logdet(self) -> bool:
        return self.layer.logdet

    def samples_of(self, latent) -> int:
        return self.layer.samples_of(latent)

    def forward(self, *arrays):
        *results, term = self.layer.inverse_term(*arrays)
        return (*results, -term) if self.layer.logdet else bare(results)

    def inverse(self, *arrays):
        return bare(self.layer.forward_term(*arrays)[:-1])

    def backward(self, *arrays, run):
        return self.layer.backward_inv(*arrays, run=run)
