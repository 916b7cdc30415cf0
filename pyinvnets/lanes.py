"""Networks over two arrays: two lanes that both change, or one that a condition steers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Space
from .density import ConditionalDensity, DensityGivenY, TwoLanesDensity
from .invertible import Invertible


class TwoLanes(TwoLanesDensity, Invertible):
    """A network or layer with two inputs and two outputs of one shape."""

    _lanes = 2

    def forward(self, X: np.ndarray, Y: np.ndarray) -> tuple:
        """From data to latent.

        Args:
            X: shape `(nx, [ny, [nz,]] n_channels, n_samples)`, of the network's dtype.
            Y: the other lane, of X's shape.

        Returns:
            `(Zx, Zy)`, or `(Zx, Zy, lgdet)` where the log-determinant is tracked: `lgdet` is a float, the mean over
            the batch. Each is a flat vector with `split_scales=True`.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, or ActNorm cannot be initialised. The network is unchanged.
        """
        return self._run("forward", (self._data, self._data), X=X, Y=Y)

    def inverse(self, Zx: np.ndarray, Zy: np.ndarray) -> tuple:
        """From latent to data.

        Args:
            Zx, Zy: as `forward` returns them.

        Returns:
            `(X, Y)`.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised.
        """
        return self._run("inverse", (self._latent, self._latent), Zx=Zx, Zy=Zy)

    def backward(self, dZx: np.ndarray, dZy: np.ndarray, Zx: np.ndarray, Zy: np.ndarray) -> tuple:
        """Set every parameter's gradient, recomputing the states from the outputs by inversion.

        The gradient is that of `f(Zx, Zy) - lgdet` where the log-determinant is tracked, else of `f(Zx, Zy)`.

        Args:
            dZx, dZy: gradients of `f`.
            Zx, Zy: what `forward` returned.

        Returns:
            `(dX, dY, X, Y)`: the gradients with respect to the inputs, and the inputs recomputed.

        Raises:
            TypeError, ValueError: as `inverse`.
        """
        return self._run("backward", (self._latent,) * 4, dZx=dZx, dZy=dZy, Zx=Zx, Zy=Zy)


class ConditionalHINT(DensityGivenY, TwoLanes):
    """Two lanes, of which `Y` goes its way without `X`: it can be transformed alone, and `X` be drawn given it."""

    def forward_Y(self, Y: np.ndarray) -> np.ndarray:
        """The latent `Zy` of `Y` alone, as `forward` gives it.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also before the first `forward`, which sets ActNorm.
        """
        return self._run("forward_Y", (self._data,), Y=Y)

    def inverse_Y(self, Zy: np.ndarray) -> np.ndarray:
        """The inverse of `forward_Y`.

        Raises:
            TypeError, ValueError: as `inverse`.
        """
        return self._run("inverse_Y", (self._latent,), Zy=Zy)


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
