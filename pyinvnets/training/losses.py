"""Objectives: what a network is trained for, and how its gradients come about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ..arrays.latents import Array, square_norm
from ..arrays.quiet import quietly
from ..arrays.spec import ArraySpec
from ..networks.base.layer import Layer
from .batches import Batch
from .gradients import Evaluation, Gradients, differentiated


class Objective(ABC):
    """What `fit` minimises. An update is `objective.gradients(network, batch)` and then `apply(optimiser)` of these.

    A subclass names its terms and says how it is evaluated; `repr` should show its numbers, since a checkpoint keeps
    that to see that training goes on with the same objective.

    Attributes:
        terms: the names of what the history keeps beside `objective`.
    """

    terms: ClassVar[tuple[str, ...]] = ()

    def inputs(self, network: Layer) -> dict[str, ArraySpec]:
        """The arrays of a batch, by the names that messages call them: by default what `forward` takes.

        Raises:
            TypeError, ValueError: the network cannot be trained for this objective.
        """
        signature = network.signature
        specs = [*signature.inputs.values(), *([] if signature.condition is None else [signature.condition])]
        return dict(zip(("X", "condition"), specs, strict=False))

    @abstractmethod
    def evaluate(self, network: Layer, batch: Batch) -> Evaluation:
        """The objective at a batch; no gradient changes until `set_gradients` is called."""

    def gradients(self, network: Layer, batch: Batch) -> Gradients:
        """The gradients at a batch, in place of those that the network had.

        Raises:
            NotFinite: the objective is not finite. The network's gradients are then unchanged.
        """
        return differentiated(network, self.evaluate(network, batch))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MaximumLikelihood(Objective):
    """The negative log-likelihood without its constant, half the number of dimensions times `log(2 pi)`.

    Its terms are `l2`, half the squared norm of the latents, and `lgdet`, the log-determinant, both means over the
    batch; the objective is `l2 - lgdet`.
    """

    terms = ("l2", "lgdet")

    def inputs(self, network: Layer) -> dict[str, ArraySpec]:
        signature = network.signature
        if not signature.invertible:
            raise TypeError(f"fit: expected a network with a density, got {network!r}")
        if signature.no_density:
            raise ValueError(f"fit: {network!r} has no density: {signature.no_density}")
        return super().inputs(network)

    def evaluate(self, network: Layer, batch: Batch) -> Evaluation:
        results = network.forward(*batch)
        results = results if isinstance(results, tuple) else (results,)
        *arrays, lgdet = results if network.signature.logdet else (*results, 0.0)
        count = len(network.signature.latents)
        latents, condition = tuple(arrays[:count]), tuple(arrays[count:])
        n = batch[0].shape[-1]

        def set_gradients() -> None:
            network.pull_back(tuple(Z / n for Z in latents), latents, condition, batch)

        l2 = quietly(_half_square_norm, latents) / n
        dimensions = sum(Z.size for Z in latents) // n
        return Evaluation(l2 - lgdet, {"l2": l2, "lgdet": lgdet}, n, dimensions, set_gradients)


def _half_square_norm(latents: tuple[Array, ...]) -> float:
    return 0.5 * sum(map(square_norm, latents))
