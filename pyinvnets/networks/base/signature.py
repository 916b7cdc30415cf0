"""What a network takes, what it gives, and what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...arrays.spec import ArraySpec


@dataclass(frozen=True)
class Signature:
    """What a network takes and gives, and what it can do. Everything outside `pyinvnets.networks` asks this.

    Attributes:
        inputs: what `forward` takes, by name, without the condition. The first one is the data.
        latents: what `forward` gives for them, by name, and `inverse` takes. For a layer that is not invertible, its
            outputs.
        condition: what `forward` takes besides, where there is a condition.
        latent_condition: the condition as `inverse` and `backward` take it.
        images: the images that `spatial` is the size of: those that a flat vector stands for, where data or latent is
            one; else the data.
        splits: how many times half of a sample's elements leave for the latent, which then holds part after part.
        data_splits: the same of the data, in reversed networks.
        logdet: whether `forward` returns the log-determinant.
        keeps_volume: whether the log-determinant is zero, whatever `forward` returns for it.
        invertible: whether there is an inverse.
        density_given: whether the first input has a density given the second, by `log_prob_given` and `sample_given`.
        no_logdet: why the log-determinant is not known; `None` where it is.
        no_jacobian: why there is no derivative along a direction; `None` where there is one.
        no_gpu: why the network cannot be on a GPU; `None` where it can, on an engine that has GPUs.
    """

    inputs: Mapping[str, ArraySpec]
    latents: Mapping[str, ArraySpec]
    images: ArraySpec
    condition: ArraySpec | None = None
    latent_condition: ArraySpec | None = None
    splits: int = 0
    data_splits: int = 0
    logdet: bool = False
    keeps_volume: bool = False
    invertible: bool = True
    density_given: bool = False
    no_logdet: str | None = None
    no_jacobian: str | None = None
    no_gpu: str | None = None

    @property
    def data(self) -> ArraySpec:
        """The first input."""
        return next(iter(self.inputs.values()))

    @property
    def latent(self) -> ArraySpec:
        """The first latent."""
        return next(iter(self.latents.values()))

    @property
    def no_density(self) -> str | None:
        """Why `log_prob` cannot be computed; `None` where it can."""
        return self.no_logdet or self.no_samples

    @property
    def no_samples(self) -> str | None:
        """Why the data cannot be drawn, nor be cut into samples; `None` where it can."""
        if self.data.vector:
            return "its data is a flat vector"
        return "its data is a latent of several scales, part after part of all samples" if self.data_splits else None

    @property
    def flat(self) -> bool:
        """Whether the data or the latent is a flat vector of all samples."""
        return self.data.vector or self.latent.vector
