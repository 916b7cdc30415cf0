"""Maximum a posteriori estimates under a flow prior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays.cuda_interface import to_numpy
from ..arrays.latents import by_sample, resized
from ..arrays.scalars import is_integer
from ..networks.base import density
from ..networks.base.layer import Layer
from ..networks.base.parameters import clear_grad
from ..networks.reverse import reverse
from .likelihood import GaussianLikelihood, check_flow


@dataclass(frozen=True, eq=False)
class MAPEstimate:
    """What `map_estimate` found.

    Attributes:
        X: images, shape `(nx, [ny, [nz,]] n_channels, n_samples)`.
        objective: the negative logarithm of the likelihood times the latents' density, the mean over the data, at the
            start and after each iteration.
        stopped: why the search ended, in SciPy's words, which are `ABNORMAL` where the precision of the flow's dtype
            leaves nothing to gain.
    """

    X: np.ndarray
    objective: list[float]
    stopped: str


def map_estimate(
    prior: Layer,
    A: Any,
    y: Any,
    noise: Any,
    *,
    start: np.ndarray | None = None,
    spatial: tuple[int, ...] | None = None,
    iterations: int = 500,
) -> MAPEstimate:
    """The images of the latents that have the largest posterior density, one for each datum: under a flow as the prior
    they minimise `|A x(z) - y|^2 / (2 noise^2) + |z|^2 / 2`.

    SciPy's L-BFGS seeks them for all data together. The density is that of the latents, in which the prior is round;
    that of images also has the log-determinant, and for an expressive flow hardly a maximum: it grows without bound
    where the flow squeezes images together. The gradients of the flow's parameters are cleared.

    Args:
        prior: a flow over images, without a condition.
        A, y, noise: as `GaussianLikelihood` takes them.
        start: images to begin with, one for each datum; by default those of the latent zero.
        spatial: image size, by default that of the flow's last `forward`.
        iterations: the most that are made.

    Raises:
        ImportError: there is no SciPy.
        TypeError, ValueError: unfit arguments.

    Source: Asim et al. (2020), «Invertible generative models for inverse problems», https://arxiv.org/abs/1905.11672;
    Byrd et al. (1995), «A limited memory algorithm for bound constrained optimization».

    >>> import pyinvnets as inv
    >>> prior = inv.NetworkGlow(2, 8, 1, 2, engine="numpy", seed=1)
    >>> history = inv.fit(prior, inv.sample_banana(500, seed=1, engine="numpy"), epochs=2, seed=1, progress=False)
    >>> found = map_estimate(prior, np.array([[0.0, 1.0]]), np.array([[4.0, 20.0]]), 0.1)
    >>> found.X.shape, found.objective[-1] < found.objective[0]
    ((1, 1, 2, 2), True)
    """
    title = "map_estimate"
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise ImportError("map_estimate needs SciPy; write pip install 'pyinvnets[inverse-problems]'") from None
    check_flow(title, "prior", prior)
    likelihood = GaussianLikelihood(A, y, noise)
    network: Any = prior
    size = density.image_size(network, title, spatial)
    if not (is_integer(iterations) and iterations >= 1):
        raise ValueError(f"{title}: iterations must be a positive integer, got {iterations!r}")
    search = Search(network, likelihood, size)
    likelihood.check(title, np.zeros((*size, network.signature.data.channels, 1), network.dtype))
    first = search.zero() if start is None else search.latents(title, start)
    objective = [search(first)[0]]
    found = minimize(
        search,
        first,
        jac=True,
        method="L-BFGS-B",
        callback=lambda intermediate_result: objective.append(float(intermediate_result.fun)),
        options={"maxiter": int(iterations), "maxfun": 10 * int(iterations), "maxcor": 30, "ftol": 1e-15, "gtol": 1e-9},
    )
    return MAPEstimate(search.images(found.x), objective, str(found.message))


class Search:
    """The objective and its gradient, of a float64 vector of the elements of all latents.

    It is the mean over the data of `-log p(y | x(z)) - log p(z)`.
    """

    def __init__(self, prior: Any, likelihood: GaussianLikelihood, size: tuple[int, ...]) -> None:
        signature = prior.signature
        prior.spatial = resized(size, signature.data.channels, signature.images.channels)
        self._prior, self._likelihood, self._size = prior, likelihood, size
        self._reversed: Any = reverse(prior, copy=False)
        self._samples = likelihood.y.shape[1]
        self._elements = math.prod(size) * signature.data.channels

    def zero(self) -> np.ndarray:
        return np.zeros(self._elements * self._samples)

    def latents(self, title: str, X: np.ndarray) -> np.ndarray:
        signature = self._prior.signature
        (X,) = self._prior.checked(title, (signature.data,), {"start": X})
        if X.shape != (*self._size, signature.data.channels, self._samples):
            raise ValueError(
                f"{title}: start must have an image of size {self._size} for each of the {self._samples} data, got "
                f"shape {X.shape}"
            )
        return self._vector(self._prior.propagate("forward", title, (X,))[0])

    def images(self, vector: np.ndarray) -> np.ndarray:
        elements = vector.reshape(self._elements, self._samples, order="F").astype(self._prior.dtype)
        results = self._reversed.forward(density.latent(self._prior, elements, self._size, self._samples))
        return results[0] if self._prior.signature.logdet else results

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        X = self.images(vector)
        values, gradient = self._likelihood(to_numpy(X))
        constant = self._elements * math.log(2 * math.pi) / 2
        objective = -float(values.mean()) + 0.5 * float(vector @ vector) / self._samples + constant
        return objective, (vector - self._pulled_back(gradient, X)) / self._samples

    def _pulled_back(self, gradient: np.ndarray, X: np.ndarray) -> np.ndarray:
        """From the images to the latents. `backward` also has the gradient of the log-determinant, which vanishes in
        rounding where the other is large."""
        dtype = self._prior.dtype
        scale = max(float(np.abs(gradient).max()), 1.0) * float(np.finfo(dtype).tiny) ** 0.5
        delta = np.asfortranarray(gradient / scale, dtype)
        dZ, _ = self._reversed.backward(self._prior.place(delta), X)
        clear_grad(self._prior)
        return self._vector(dZ) * scale

    def _vector(self, latent: np.ndarray) -> np.ndarray:
        elements = by_sample(to_numpy(latent), self._samples, self._prior.signature.splits)
        return elements.astype(np.float64).ravel(order="F")
