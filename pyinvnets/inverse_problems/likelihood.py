"""The likelihood of data with Gaussian noise, and densities of flows, each with its gradient in the images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays.cuda_interface import to_numpy
from ..arrays.latents import gaussian
from ..networks.base import density
from ..networks.base.layer import Layer
from ..networks.base.parameters import clear_grad
from ..networks.base.wrapper import Wrapper
from ..training.densities import LogDensity
from .operators import as_operator


class GaussianLikelihood:
    """The log-density of data given images, `y = A(x) + noise` with independent Gaussian noise.

    Args:
        A: the forward operator, as `as_operator` takes it.
        y: data, with samples on the last axis, or one vector; of one datum, or of one for each image.
        noise: standard deviation of the noise, a number, or an array of a datum's shape.

    Attributes:
        y: as columns, shape `(n_data, n_samples)`, float64.

    Raises:
        TypeError, ValueError: unfit arguments.

    >>> likelihood = GaussianLikelihood(np.eye(2), np.zeros(2), 1.0)
    >>> values, gradient = likelihood(np.ones((1, 1, 2, 3)))
    >>> values.round(3).tolist(), gradient[0, 0, :, 0].tolist()
    ([-2.838, -2.838, -2.838], [-1.0, -1.0])
    """

    def __init__(self, A: Any, y: Any, noise: Any) -> None:
        self.operator = as_operator(A)
        y = np.asarray(y)
        if y.dtype.kind not in "fiu" or not y.ndim or not y.size or not np.isfinite(y).all():
            raise ValueError(f"y must be an array of finite numbers, got {y.dtype} and shape {y.shape}")
        of_datum = y.shape if y.ndim == 1 else y.shape[:-1]
        self.y = y.reshape(math.prod(of_datum), -1, order="F").astype(np.float64)
        noise = np.asarray(noise)
        if noise.dtype.kind not in "fiu" or not np.all(np.isfinite(noise) & (noise > 0)):
            raise ValueError(f"noise must be a positive finite standard deviation, got {noise}")
        if noise.ndim and noise.shape != of_datum:
            raise ValueError(f"noise must be a number, or have a datum's shape {of_datum}, got shape {noise.shape}")
        self._deviation = np.broadcast_to(noise.ravel(order="F").astype(np.float64)[:, None], (len(self.y), 1))

    def check(self, title: str, X: np.ndarray) -> None:
        """Raise TypeError or ValueError where images like these do not fit A and y."""
        data = self.operator(X)
        if data.dtype.kind == "c":
            raise TypeError(f"{title}: A must give real data, got {data.dtype}")
        if data.shape != (len(self.y), X.shape[-1]):
            raise ValueError(
                f"{title}: y must have {len(data)} numbers for an image of shape {X.shape[:-1]}, as A gives them, got "
                f"{len(self.y)}"
            )

    def __call__(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The log-density for each image, shape `(n_samples,)`, and the gradient of their sum."""
        residual = (self.operator(X) - self.y) / self._deviation
        constant = np.log(self._deviation).sum() + len(self.y) * math.log(2 * math.pi) / 2
        values = -0.5 * np.einsum("ij,ij->j", residual, residual, dtype=np.float64) - constant
        return values, -self.operator.pull_back(X, residual / self._deviation)


def of_flow(network: Any, condition: np.ndarray | None = None) -> LogDensity:
    """The log-density of a flow. The gradients of its parameters are cleared.

    Args:
        condition: one for all images, of a conditional network.
    """

    def log_density(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = X.shape[-1]
        of_all = () if condition is None else (density.in_turn(network, condition, slice(0, n)),)
        inputs = (network.place(np.asfortranarray(X, network.dtype)), *of_all)
        Z, *transformed, logdets = density.by_each_sample(network, "log_density", inputs)
        values = to_numpy(logdets) + to_numpy(gaussian((Z,), n, network.signature.splits))
        # The gradient of half the squares less the log-determinants, the mean over the images.
        gradient, *_ = network.pull_back((Z / n,), (Z,), tuple(transformed), inputs)
        clear_grad(network)
        return values, -n * to_numpy(gradient)

    return log_density


def of_prior(title: str, prior: Any) -> LogDensity:
    """The log-density of a prior, which may be a flow."""
    if isinstance(prior, Wrapper):
        raise TypeError(f"{title}: {type(prior).__name__} is a flow on rows; write prior=flow.network")
    if isinstance(prior, Layer):
        check_flow(title, "prior", prior)
        return of_flow(prior)
    if not callable(prior):
        raise TypeError(
            f"{title}: prior must be a flow, or a function that gives log-densities and their gradient, got {prior!r}"
        )
    return prior


def check_flow(title: str, name: str, flow: Any, conditional: bool = False) -> None:
    """Raise where it is no trained flow over one array."""
    signature = getattr(flow, "signature", None)
    wanted = "conditional flow" if conditional else "flow without a condition"
    if signature is None or len(signature.inputs) > 1 or (signature.condition is not None) != conditional:
        raise TypeError(f"{title}: {name} must be a {wanted} over one array, got {flow!r}")
    density.check_tracked(flow, title)
    flow.check_initialised(f"{title}, {name}")


def total(*terms: LogDensity) -> LogDensity:
    """The sum of log-densities."""

    def log_density(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, gradients = zip(*(term(X) for term in terms), strict=True)
        return sum(values), sum(gradients)

    return log_density
