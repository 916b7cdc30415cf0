"""The posterior of one datum by variational inference."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays.cuda_interface import to_numpy
from ..networks.base import density
from ..networks.base.layer import Layer
from ..training.densities import LogDensity
from ..training.fit import fit
from ..training.history import History
from ..training.losses import ReverseKL
from .likelihood import GaussianLikelihood, check_flow, of_prior, total


class Posterior:
    """A flow that was fitted to the posterior of one datum.

    Attributes:
        flow: the network.
        condition: what it is given with every sample, where it is a conditional one.
        correction: the flow over its latents, where `correct` made one.
        log_density: what it was fitted to, the logarithm of likelihood times prior, with its gradient.
        history: of the training. Less its `validation` is a lower bound of the log-evidence.
    """

    def __init__(
        self,
        flow: Any,
        condition: np.ndarray | None,
        log_density: LogDensity,
        history: History,
        correction: Any = None,
    ) -> None:
        self.flow, self.condition, self.log_density, self.history = flow, condition, log_density, history
        self.correction = correction

    def sample(self, n: int, *, seed: int | None = None, batch_size: int | None = None) -> np.ndarray:
        """Images, shape `(nx, [ny, [nz,]] n_channels, n)`.

        Args:
            n, seed, batch_size: as for the flow's `sample`.
        """
        flow = self.flow
        if self.correction is None:
            return flow.sample(n, *self._given(1), seed=seed, batch_size=batch_size)
        Z = self.correction.sample(n, seed=seed, batch_size=batch_size)
        C = flow.condition_for_inverse(self.condition)
        parts = density.batches("Posterior.sample", n, batch_size)
        X = [to_numpy(flow.inverse(Z[..., part], density.in_turn(flow, C, part))) for part in parts]
        return np.asfortranarray(np.concatenate(X, axis=-1))

    def log_prob(self, X: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density of each image, in nats, shape `(n,)`.

        Args:
            X, batch_size: as for the flow's `log_prob`.
        """
        flow = self.flow
        if self.correction is None:
            return flow.log_prob(X, *self._given(1), batch_size=batch_size)
        results = []
        for part in density.batches("Posterior.log_prob", X.shape[-1], batch_size):
            some = X[..., part]
            Z, *_, logdets = flow.forward_by_sample(some, *self._given(some.shape[-1]))
            results.append(to_numpy(self.correction.log_prob(Z)) + to_numpy(logdets))
        return np.concatenate(results).astype(self.flow.dtype)

    def _given(self, n: int) -> tuple[Any, ...]:
        return () if self.condition is None else (density.in_turn(self.flow, self.condition, slice(0, n)),)

    def log_evidence(self, n: int = 10_000, *, seed: int | None = None, batch_size: int | None = 1000) -> float:
        """The logarithm of the integral of likelihood times prior, by importance sampling: that of the mean of the
        samples' weights. It is below the truth in the mean, and the closer, the better the flow fits.

        Args:
            n: number of samples.
            seed, batch_size: as for `sample`.

        Source: Burda et al. (2016), «Importance weighted autoencoders», https://arxiv.org/abs/1509.00519.
        """
        X = self.sample(n, seed=seed, batch_size=batch_size)
        weights = -to_numpy(self.log_prob(X, batch_size=batch_size)).astype(np.float64)
        for part in density.batches("Posterior.log_evidence", n, batch_size):
            weights[part] += self.log_density(to_numpy(X[..., part]))[0]
        return float(np.logaddexp.reduce(weights) - np.log(n))


def posterior(
    A: Any,
    y: Any,
    noise: Any,
    *,
    prior: Layer | LogDensity,
    flow: Layer,
    condition: np.ndarray | None = None,
    spatial: tuple[int, ...] | None = None,
    annealing: Callable[[int], float] | None = None,
    **options: Any,
) -> Posterior:
    """Fit a flow to the posterior of one datum, by reverse KL.

    Args:
        A, y, noise: as `GaussianLikelihood` takes them.
        prior: a trained flow over images, or a log-density with its gradient, as `ReverseKL` takes it.
        flow: what to begin with, of which a copy is trained: a new flow without a condition; or a conditional one, an
            amortised posterior that was trained on other data, from which far fewer updates are needed.
        condition: what the conditional flow takes for this datum, with one sample.
        spatial: image size, by default that of the flow's last `forward`.
        annealing: as for `ReverseKL`.
        options: those of `inv.fit`, such as `epochs`, `updates_per_epoch`, `batch_size` and `learning_rate`.

    Raises:
        TypeError, ValueError: unfit arguments.

    Source: Rezende and Mohamed (2015), «Variational inference with normalizing flows»,
    https://arxiv.org/abs/1505.05770; Siahkoohi et al. (2021), «Preconditioned training of normalizing flows for
    variational inference in inverse problems», https://arxiv.org/abs/2101.03709, for a conditional one.

    >>> import pyinvnets as inv
    >>> def gaussian(X):
    ...     return -np.sum(X**2, axis=(0, 1, 2)) / 2, -X
    >>> found = posterior(
    ...     np.array([[1.0, 1.0]]), np.array([3.0]), 0.5, prior=gaussian, flow=inv.NetworkGlow(2, 8, 1, 4, seed=1),
    ...     spatial=(1, 1), epochs=8, learning_rate=0.02, seed=1, progress=False,
    ... )
    >>> print(f"{found.sample(1000, seed=1).sum(axis=2).mean():.1f}")  # the exact one: 2.7
    2.7
    """
    title = "posterior"
    likelihood = one_datum(title, A, y, noise)
    if getattr(flow, "signature", None) is None or not isinstance(flow, Layer):
        raise TypeError(f"{title}: flow must be a network over images, got {flow!r}")
    if condition is not None:
        check_flow(title, "flow", flow, conditional=True)
    elif spatial is None and isinstance(prior, Layer):
        spatial = flow.spatial or prior.spatial
    log_density = total(likelihood, of_prior(title, prior))
    network = copy.deepcopy(flow)
    if spatial is not None:
        network.spatial = spatial
    objective = ReverseKL(log_density, annealing=annealing, condition=condition)
    likelihood.check(title, blank(network, title, condition))
    history = fit(network, objective=objective, **options)
    return Posterior(network, condition, log_density, history)


def one_datum(title: str, A: Any, y: Any, noise: Any) -> GaussianLikelihood:
    likelihood = GaussianLikelihood(A, y, noise)
    if likelihood.y.shape[1] != 1:
        raise ValueError(f"{title}: y must be one datum, got {likelihood.y.shape[1]}")
    return likelihood


def blank(network: Any, title: str, condition: np.ndarray | None) -> np.ndarray:
    """An image of zeros."""
    size = density.data_size(network, title, condition)
    return np.zeros((*size, network.signature.data.channels, 1), network.dtype)
