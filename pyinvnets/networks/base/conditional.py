"""Networks over one array that a condition steers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays.latents import Array
from ...arrays.spec import Space
from .density import _batches, _check_number, _check_tracked, _count, _generator, _log_prob, _part, _sample
from .layer import Invertible


class ConditionalDensity:
    """The density of data given a condition. In `SummarizedNet` the condition is the data that is summarised."""

    def log_prob(self, X: np.ndarray, C: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density of each sample given its condition, in nats, the Gaussian's constant included.

        Args:
            X: data as `forward` takes it.
            C: condition as `forward` takes it, for each sample or one for all.
            batch_size: how many samples go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`, of the network's dtype; the sums are taken in 64 bits.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, a layer that keeps no log-determinant (`logdet=False`), or ActNorm was never
                initialised.
        """
        title = f"{self._title}.log_prob"
        _check_tracked(self, title)
        X = self._checked_one("X", X, self._data, title)
        C = self._checked_one("C", C, self._condition, title)
        self._check_together(title, ("X", "C"), (self._data, self._condition), (X, _for_each(C, X.shape[-1])))
        return _log_prob(self, title, (X, C), batch_size)

    def sample(self, n: int, C: np.ndarray, *, seed: int | None = None, batch_size: int | None = None) -> np.ndarray:
        """Samples given the condition: `inverse` of Gaussian noise.

        Args:
            n: how many.
            C: condition as `forward` takes it: one, for all samples, or `n`.
            seed: the same seed gives the same samples, on either engine and whatever the `batch_size`.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(*spatial, n_channels, n)`, of the network's dtype, with C's spatial sizes.

        Raises:
            TypeError: C is not an array of the network's dtype.
            ValueError: an argument is out of range, C has the wrong shape, or ActNorm was never initialised.
        """
        return self._samples(f"{self._title}.sample", n, C, seed, batch_size)[0]

    def sample_and_log_prob(
        self, n: int, C: np.ndarray, *, seed: int | None = None, batch_size: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """`X = sample(n, C, ...)`, and `log_prob(X, C)`.

        Raises:
            TypeError, ValueError: as `sample` and `log_prob`.
        """
        title = f"{self._title}.sample_and_log_prob"
        _check_tracked(self, title)
        X, C = self._samples(title, n, C, seed, batch_size)
        return X, _log_prob(self, title, (X, C), batch_size)

    def _samples(
        self, title: str, n: int, C: np.ndarray, seed: int | None, batch_size: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The samples, and `C` as it was checked."""
        n, rng = _count(title, "n", n), _generator(title, seed)
        parts = _batches(title, n, batch_size)
        C = self._checked_one("C", C, self._condition, title)
        spatial, channels = C.shape[:-2], self._data.channels
        if not self._data.holds((*spatial, channels, 1)):
            raise ValueError(f"{title}: C must belong to data of {self._data.describe()}, got shape {C.shape}")
        _check_number(title, "C", C, n)
        self._check_initialised(title)
        once = self._inverse_condition(title, C) if C.shape[-1] == 1 else None

        def condition(part: slice) -> tuple[np.ndarray]:
            return (self._inverse_condition(title, C[..., part]) if once is None else _part(once, part, n),)

        return *_sample(self, title, n, spatial, rng, parts, 1, condition), C

    def _inverse_condition(self, title: str, C: np.ndarray) -> np.ndarray:
        """The condition as `inverse` takes it: for a network, what `forward` makes of it with any data."""
        if not self._transforms_condition:
            return C
        X = self._placed(np.zeros((*C.shape[:-2], self._data.channels, C.shape[-1]), self._dtype, order="F"))
        return self._forward_by_sample(title, (X, C))[1]


def _for_each(C: Array, samples: int) -> Array:
    """What has the shape of a condition for each sample, which is all that is checked."""
    return np.broadcast_to(np.float32(0), (*C.shape[:-1], samples)) if C.shape[-1] == 1 else C


class Conditional(ConditionalDensity, Invertible):
    """A network or layer over `X` that a condition `C` steers."""

    _scales = 0
    """How many times `forward` halves the condition, while the latent keeps the data's shape."""
    _transforms_condition = True
    """Whether `inverse` takes the condition as `forward` returns it."""

    def _create_conditional(
        self, engine: str | None, seed: int | None, data: Space, n_cond: int, *, only_numpy: str | None = None
    ) -> None:
        self._condition = Space(n_cond, data.ndims)
        self._latent_condition = Space(n_cond << (self._scales * data.ndims), data.ndims)
        self._create(engine, seed, data, only_numpy=only_numpy)

    def _check_together(self, title, names, spaces, inputs) -> None:
        super()._check_together(title, names, spaces, inputs)
        halvings = self._scales if spaces[-1] is self._latent_condition else 0
        first, condition = inputs[0], inputs[-1]
        expected = tuple(n >> halvings for n in first.shape[:-2])
        if condition.shape[:-2] != expected:
            raise ValueError(
                f"{title}: {names[-1]} must have spatial sizes {expected}, for {names[0]} of shape {first.shape}, got "
                f"shape {condition.shape}"
            )

    def forward(self, X: np.ndarray, C: np.ndarray) -> Any:
        """From data to latent, given the condition.

        Args:
            X: data, shape `(nx, [ny, [nz,]] n_in, n_samples)`, of the network's dtype.
            C: condition, shape `(nx, [ny, [nz,]] n_cond, n_samples)`, a condition for each sample.

        Returns:
            See the class.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, or ActNorm cannot be initialised. The network is unchanged.
        """
        return self._run("forward", (self._data, self._condition), X=X, C=C)

    def inverse(self, Z: np.ndarray, C: np.ndarray) -> np.ndarray:
        """From latent to data.

        Args:
            Z: latent, as `forward` returns it.
            C: for a network the condition *as `forward` returns it*, for a layer the condition.

        Returns:
            The data `X`.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised.
        """
        return self._run("inverse", (self._latent, self._latent_condition), Z=Z, C=C)

    def backward(self, dZ: np.ndarray, Z: np.ndarray, C: np.ndarray) -> tuple:
        """Set every parameter's gradient, recomputing the states from the output `Z` by inversion.

        The gradient is that of `f(Z) - lgdet` where the log-determinant is tracked, else of `f(Z)`.

        Args:
            dZ: gradient of `f`, of Z's shape.
            Z: what `forward` returned.
            C: the condition as `inverse` takes it.

        Returns:
            `(dX, X, dC)`: the gradient with respect to X, X recomputed, and the gradient with respect to the
            condition given to `forward`.

        Raises:
            TypeError, ValueError: as `inverse`.
        """
        return self._run("backward", (self._latent, self._latent, self._latent_condition), dZ=dZ, Z=Z, C=C)
