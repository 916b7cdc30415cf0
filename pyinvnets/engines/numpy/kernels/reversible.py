"""Layers whose inverse has a log-determinant and a gradient of its own, and the reversed layer made of one.

A reversible layer has `forward_term` and `inverse_term`, which append the log-determinant of its forward direction
(zero where it is not tracked), and `backward_inv`, the gradient of its inverse: from the gradient of what the inverse
gave, and that itself. With a condition, both take the condition that `forward` takes.

Source: InvertibleNetworks.jl, src/utils/neuralnet.jl.
"""

from __future__ import annotations


def bare(results):
    """A single result without its tuple."""
    return results[0] if len(results) == 1 else tuple(results)


class Reversible:
    """What is invertible, over one array or two of one shape, perhaps given a condition."""

    lanes = 1
    """How many arrays go in and come out, beside a condition."""
    sample_by_sample = False
    """Whether it treats each sample alone, once its ActNorms are set, so that a batch can be computed in parts."""
    has_steps = False
    """Whether `forward_term` and `inverse_term` take `states` to keep, and the ways back restore them."""

    def forward(self, *arrays, **states):
        *results, term = self.forward_term(*arrays, **states)
        return (*results, term) if self.logdet else bare(results)

    def inverse(self, *arrays):
        return bare(self.inverse_term(*arrays)[:-1])


class Reversed(Reversible):
    """A reversible layer, run the other way. It shares the layer's parameters, which keep their names."""

    def __init__(self, layer) -> None:
        self.layer = layer
        self.fields, self.logdet = layer.fields, layer.logdet
        for field in self.fields:
            setattr(self, field, getattr(layer, field))
        self.sample_by_sample, self.has_steps = layer.sample_by_sample, layer.has_steps
        self.lanes = layer.lanes

    @property
    def spatial(self):
        return self.layer.spatial

    @spatial.setter
    def spatial(self, value) -> None:
        self.layer.spatial = value

    def samples_of(self, latent) -> int:
        return self.layer.samples_of(latent)

    def sizes(self, array, latent):
        return self.layer.sizes(array, not latent)

    def forward(self, *arrays, **states):
        *results, term = self.layer.inverse_term(*arrays, **states)
        return (*results, 0.0 - term) if self.logdet else bare(results)

    def inverse(self, *arrays):
        return bare(self.layer.forward_term(*arrays)[: self.lanes])

    def backward(self, *arrays, run):
        return self.layer.backward_inv(*arrays, run=run)
