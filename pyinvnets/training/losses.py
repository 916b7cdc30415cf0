"""Objectives: what a network is trained for, and how its gradients come about."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..arrays.cuda_interface import to_numpy
from ..arrays.latents import Array, resized, square_norm
from ..arrays.quiet import quietly
from ..arrays.spec import ArraySpec
from ..networks.base import density
from ..networks.base.layer import Layer
from ..networks.reverse import reverse
from .batches import Batch
from .densities import LogDensity, checked_values
from .gradients import Evaluation, Gradients, differentiated


class Objective(ABC):
    """What `fit` minimises. An update is `objective.gradients(network, batch)` and then `apply(optimiser)` of these.

    A subclass names its terms and says how it is evaluated; `repr` should show its numbers, since a checkpoint keeps
    that to see that training goes on with the same objective.

    Attributes:
        terms: the names of what the history keeps beside `objective`.
        draws: whether it draws its own samples; `fit` then takes none.
    """

    terms: ClassVar[tuple[str, ...]] = ()
    draws: ClassVar[bool] = False

    def inputs(self, network: Layer) -> dict[str, ArraySpec]:
        """The arrays of a batch, by the names that messages call them: by default what `forward` takes.

        Raises:
            TypeError, ValueError: the network cannot be trained for this objective.
        """
        signature = network.signature
        specs = [*signature.inputs.values(), *([] if signature.condition is None else [signature.condition])]
        return dict(zip(("X", "condition"), specs, strict=False))

    def at(self, update: int) -> Objective:
        """What is minimised after so many updates, by default the same; validation is by the objective itself."""
        return self

    def draw(self, network: Layer, rng: np.random.Generator, samples: int) -> Batch:
        """A batch of so many samples, on the last axis; for objectives that draw them."""
        raise NotImplementedError

    def traversed(self, network: Layer) -> Layer:
        """What is run forward and backward, whose anchors and drift are those of the gradients: by default the network
        itself."""
        return network

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


class ReverseKL(Objective):
    """The Kullback-Leibler divergence of the network's density from a target that is known up to a constant, for
    variational inference: the network learns to draw samples of the target, and has their density.

    An update draws latents, and runs them through the reversed network; see `reverse`. Its terms are `log_q`, the
    network's log-density of its samples, and `log_density`, the target's, both means over the batch; the objective is
    `log_q - log_density`. That is the divergence less the logarithm of the target's integral, which is the evidence
    where the target is likelihood times prior; less the objective is thus a lower bound of the log-evidence.

    The network may have no data yet, and ActNorm is then set so that its first samples have zero mean and unit variance
    in each channel; of images say the size first, such as `G.spatial = (64, 64)`.

    Args:
        log_density: a function of a batch, a NumPy array of shape `(nx, [ny, [nz,]] n_channels, n_samples)` and of the
            network's dtype, that gives the target's log-density of each sample, shape `(n_samples,)`, and the gradient
            of their sum, of the batch's shape. `from_torch` and `from_jax` make it of a function that they
            differentiate.
        annealing: a function of the number of updates made, such as `Annealing`, that gives the power to which the
            target is raised: while it is small, samples find several modes more easily. Validation has power 1.
        condition: the condition of all samples, for a conditional network that was trained or has seen data before, as
            `forward` takes it, with one sample.

    Raises:
        TypeError: a function is none, or the condition is no array.

    Source: Rezende and Mohamed (2015), «Variational inference with normalizing flows»,
    https://arxiv.org/abs/1505.05770, annealing included.

    >>> import numpy as np
    >>> import pyinvnets as inv
    >>> G = inv.NetworkGlow(2, 8, 1, 2, engine="numpy", seed=1)
    >>> G.spatial = (1, 1)
    >>> def log_density(X):
    ...     return -np.sum((X - 3) ** 2, axis=(0, 1, 2)) / 2, 3 - X
    >>> history = inv.fit(
    ...     G, objective=ReverseKL(log_density), epochs=3, learning_rate=0.05, seed=1, progress=False
    ... )
    >>> print(f"{G.sample(1000, seed=1).mean():.1f}")
    3.0
    """

    terms = ("log_q", "log_density")
    draws = True

    def __init__(
        self,
        log_density: LogDensity,
        *,
        annealing: Callable[[int], float] | None = None,
        condition: np.ndarray | None = None,
    ) -> None:
        if not callable(log_density):
            raise TypeError(f"ReverseKL: log_density must be a function of a batch, got {log_density!r}")
        if not (annealing is None or callable(annealing)):
            raise TypeError(f"ReverseKL: annealing must be a function of the number of updates, got {annealing!r}")
        self.log_density, self.annealing, self.condition = log_density, annealing, condition
        self._power = 1.0
        self._reversed: dict[Layer, Layer] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the reversed network: it shares the weights of one that a copy may not see."""
        return vars(self) | {"_reversed": {}}

    def inputs(self, network: Layer) -> dict[str, ArraySpec]:
        signature = network.signature
        if not signature.invertible or len(signature.inputs) > 1:
            raise TypeError(f"fit: ReverseKL expects a network over one array with a density, got {network!r}")
        if signature.no_density:
            raise ValueError(f"fit: {network!r} has no density: {signature.no_density}")
        takes = signature.condition
        if (takes is None) != (self.condition is None):
            needed = "takes no condition" if takes is None else "needs a condition; write ReverseKL(..., condition=C)"
            raise ValueError(f"fit: {network!r} {needed}")
        if takes is not None:
            network.check_initialised("ReverseKL")  # of one condition ActNorm would find no variance
            network.checked("ReverseKL", (takes,), {"condition": self.condition})
            if self.condition.shape[-1] != 1:
                raise ValueError(
                    f"ReverseKL: condition must have one sample, for all, got shape {self.condition.shape}"
                )
        self._try(network)
        return {}

    def _try(self, network: Layer) -> None:
        """Ask for the density of some noise, so that a mistake in it is found before anything changes."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((2, network.signature.data.channels, *self._size(network)[::-1])).astype(network.dtype)
        checked_values(self.log_density, X.T)

    def _size(self, network: Layer) -> tuple[int, ...]:
        return density.data_size(network, "fit", self.condition)

    def at(self, update: int) -> ReverseKL:
        if self.annealing is None:
            return self
        other = copy.copy(self)
        other._power, other._reversed = float(self.annealing(update)), self._reversed
        return other

    def draw(self, network: Layer, rng: np.random.Generator, samples: int) -> Batch:
        """The elements of Gaussian latents, shape `(n_elements, n_samples)`."""
        elements = math.prod(self._size(network)) * network.signature.data.channels
        return (rng.standard_normal((samples, elements), dtype=network.dtype).T,)

    def traversed(self, network: Layer) -> Layer:
        """The network reversed, made anew for another one alone: it remembers how far apart its anchors may lie."""
        if network not in self._reversed:
            self._reversed.clear()
            self._reversed[network] = reverse(network, copy=False)
        reversed_network = self._reversed[network]
        if reversed_network.anchors != network.anchors:
            reversed_network.anchors = network.anchors
        if reversed_network.signature.flat and network.spatial is not None:
            reversed_network.spatial = network.spatial
        return reversed_network

    def evaluate(self, network: Layer, batch: Batch) -> Evaluation:
        elements, size = to_numpy(batch[0]), self._size(network)
        dimensions, n = elements.shape
        network.spatial = resized(size, network.signature.data.channels, network.signature.images.channels)
        latents = density.latent(network, elements, size, n)
        condition = () if self.condition is None else (density.in_turn(network, self.condition, slice(0, n)),)
        reversed_network: Any = self.traversed(network)
        results = reversed_network.forward(latents, *condition)
        X, lgdet = results if network.signature.logdet else (results, 0.0)
        values, gradient = checked_values(self.log_density, to_numpy(X))
        log_q = quietly(_log_gaussian, elements) - lgdet
        log_density = float(np.mean(values, dtype=np.float64))

        def set_gradients() -> None:
            delta = network.place(np.asfortranarray(-self._power / n * gradient, network.dtype))
            reversed_network.pull_back((delta,), (X,), (), (latents, *condition))

        terms = {"log_q": log_q, "log_density": log_density}
        return Evaluation(log_q - self._power * log_density, terms, n, dimensions, set_gradients)

    def __repr__(self) -> str:
        words = [named(self.log_density)]
        words += [] if self.annealing is None else [f"annealing={named(self.annealing)}"]
        words += [] if self.condition is None else [f"condition of shape {self.condition.shape}"]
        return f"ReverseKL({', '.join(words)})"


def named(function: Callable[..., Any]) -> str:
    """What tells a function from others, and is the same in another process."""
    return getattr(function, "__qualname__", None) or repr(function)


def _log_gaussian(elements: np.ndarray) -> float:
    """The standard Gaussian's log-density, the mean over samples of shape `(n_elements, n_samples)`."""
    return -0.5 * square_norm(elements) / elements.shape[-1] - 0.5 * len(elements) * math.log(2 * math.pi)


def _half_square_norm(latents: tuple[Array, ...]) -> float:
    return 0.5 * sum(map(square_norm, latents))
