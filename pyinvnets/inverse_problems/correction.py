"""Correction of an amortised posterior in its latents, for data that its training did not foresee."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ..arrays.cuda_interface import to_numpy
from ..networks.base import density
from ..networks.base.layer import Layer
from ..networks.base.parameters import clear_grad
from ..networks.reverse import reverse
from ..training.densities import LogDensity
from ..training.fit import fit
from ..training.losses import ReverseKL
from .likelihood import check_flow, of_flow, of_prior, total
from .posterior import Posterior, blank, one_datum


def correct(
    amortised: Any,
    condition: np.ndarray,
    A: Any,
    y: Any,
    noise: Any,
    *,
    flow: Layer,
    prior: Layer | LogDensity | None = None,
    **options: Any,
) -> Posterior:
    """Fit the posterior of one datum by a small flow between Gaussian noise and the latents of a conditional flow,
    which stays as it is: for data of another noise level, operator or prior than those that it was trained on.

    Args:
        amortised: a trained conditional flow.
        condition: what it takes for this datum, with one sample. The gradients of its parameters are cleared.
        A, y, noise: as `GaussianLikelihood` takes them.
        flow: what is fitted to the latents, of the images' shape; a copy of it is trained. A flow of one layer is much:
            the source takes an `AffineLayer`.
        prior: a trained flow, or a log-density with its gradient, with which the posterior is likelihood times prior.
            Where there is none, what the conditional flow gives for this datum is taken as the prior, as in the source.
        options: those of `inv.fit`, such as `epochs`, `updates_per_epoch`, `batch_size` and `learning_rate`.

    Raises:
        TypeError, ValueError: unfit arguments.

    Source: Siahkoohi et al. (2022), «Reliable amortized variational inference with physics-based latent distribution
    correction», https://arxiv.org/abs/2207.11640.
    """
    title = "correct"
    check_flow(title, "amortised", amortised, conditional=True)
    (condition,) = amortised.checked(title, (amortised.signature.condition,), {"condition": condition})
    if condition.shape[-1] != 1:
        raise ValueError(f"{title}: condition must have one sample, got shape {condition.shape}")
    likelihood = one_datum(title, A, y, noise)
    image = blank(amortised, title, condition)
    likelihood.check(title, image)
    if not isinstance(flow, Layer) or not flow.signature.data.holds(image.shape):
        raise TypeError(f"{title}: flow must be a network over images of shape {image.shape[:-1]}, got {flow!r}")
    of_images = of_flow(amortised, condition) if prior is None else of_prior(title, prior)
    log_density = total(likelihood, of_images)
    correction = copy.deepcopy(flow)
    correction.spatial = image.shape[:-2]
    objective = ReverseKL(in_latents(log_density, amortised, condition))
    history = fit(correction, objective=objective, **options)
    return Posterior(amortised, condition, log_density, history, correction)


def in_latents(of_images: LogDensity, network: Layer, condition: np.ndarray) -> LogDensity:
    """A log-density of images as one of the latents of a conditional flow at one condition."""
    reversed_network: Any = reverse(network, copy=False)

    def log_density(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = Z.shape[-1]
        C = density.in_turn(network, condition, slice(0, n))
        X, logdets = reversed_network.forward_by_sample(network.place(np.asfortranarray(Z, network.dtype)), C)
        values, gradient = of_images(to_numpy(X))
        delta = network.place(np.asfortranarray(-gradient / n, network.dtype))
        # The gradient of less the mean of what is asked for, log-determinants included.
        dZ, *_ = reversed_network.backward(delta, X, C)
        clear_grad(network)
        return values + to_numpy(logdets), -n * to_numpy(dZ)

    return log_density
