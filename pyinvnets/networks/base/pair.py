"""Networks with two inputs and two outputs of one shape."""

from __future__ import annotations

import numpy as np

from ...arrays.latents import Array, by_sample
from ...engines.julia.gpu import cpu
from .conditional import _for_each
from .density import (
    Density,
    _batches,
    _check_number,
    _check_tracked,
    _count,
    _generator,
    _latent,
    _log_prob,
    _sample,
    _x_given_y,
)
from .jacobians import Direction, adjoint_jacobian, jacobian
from .layer import Invertible


class TwoLanesDensity(Density):
    """The joint density of both lanes of a network."""

    def log_prob(self, X: np.ndarray, Y: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density of each pair of samples, in nats, the Gaussian's constant included.

        It is that of both lanes together, log p(x, y). A network that keeps volumes (`HyperbolicLayer`,
        `NetworkHyperbolic`) has the log-determinant zero, whatever `forward` returns for it.

        Args:
            X, Y: data as `forward` takes it.
            batch_size: how many samples go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`, of the network's dtype; the sums are taken in 64 bits.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, the network keeps no log-determinant (`logdet=False`), or ActNorm was never
                initialised.
        """
        return self._density(f"{self._title}.log_prob", {"X": X, "Y": Y}, batch_size)

    def sample(
        self,
        n: int,
        *,
        spatial: tuple[int, ...] | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Samples `(X, Y)`: `inverse` of Gaussian noise in both lanes.

        Args:
            n: how many.
            spatial: image size `(nx, ny)`, by default that of the last `forward`; it is remembered as `G.spatial`.
            seed: the same seed gives the same samples, on either engine and whatever the `batch_size`.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.

        Returns:
            `(X, Y)`, each of shape `(*spatial, n_channels, n)` and of the network's dtype.

        Raises:
            TypeError: spatial is no tuple of integers.
            ValueError: an argument is out of range, the image size is not known, or ActNorm was never initialised.
        """
        return self._samples(f"{self._title}.sample", n, spatial, seed, batch_size)

    def sample_and_log_prob(
        self,
        n: int,
        *,
        spatial: tuple[int, ...] | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`X, Y = sample(n, ...)`, and `log_prob(X, Y)`: three arrays.

        Raises:
            TypeError, ValueError: as `sample` and `log_prob`.
        """
        return self._samples_and_density(n, spatial, seed, batch_size)


class DensityGivenY:
    """The density of the first lane given the second, for networks whose second lane goes its way without the first:
    log p(x | y) = log p(x, y) - log p(y), and to draw from it is to draw the first lane's latent."""

    def log_prob_given(self, X: np.ndarray, Y: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density log p(x | y) of each sample of the first lane given the second, in nats, the Gaussian's constant
        included.

        Args:
            X: data as `forward` takes it.
            Y: the other lane, for each sample or one for all.
            batch_size: how many samples go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`, of the network's dtype; the sums are taken in 64 bits.

        Raises:
            TypeError, ValueError: as `log_prob`.
        """
        title = f"{self._title}.log_prob_given"
        _check_tracked(self, title)
        X, Y = (self._checked_one(name, array, self._data, title) for name, array in (("X", X), ("Y", Y)))
        self._check_together(title, ("X", "Y"), (self._data, self._data), (X, _for_each(Y, X.shape[-1])))
        return _log_prob(self, title, (X, Y), batch_size, _x_given_y)

    def sample_given(
        self, n: int, Y: np.ndarray, *, seed: int | None = None, batch_size: int | None = None
    ) -> np.ndarray:
        """Samples of the first lane given the second: `inverse` of Gaussian noise beside `forward_Y(Y)`.

        Args:
            n: how many.
            Y: the other lane: one, for all samples, or `n`.
            seed: the same seed gives the same samples, on either engine and whatever the `batch_size`.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(*spatial, n_channels, n)`, of the network's dtype, with Y's spatial sizes.

        Raises:
            TypeError: Y is not an array of the network's dtype.
            ValueError: an argument is out of range, Y has the wrong shape, or ActNorm was never initialised.
        """
        title = f"{self._title}.sample_given"
        n, rng = _count(title, "n", n), _generator(title, seed)
        parts = _batches(title, n, batch_size)
        Y = self._checked_one("Y", Y, self._data, title)
        _check_number(title, "Y", Y, n)
        self._check_initialised(title)
        spatial = Y.shape[:-2]
        once = by_sample(cpu(self._call("forward_Y", title, (Y,))[0]), 1, self._splits) if Y.shape[-1] == 1 else None

        def latent(part: slice) -> tuple[Array]:
            if once is None:
                return self._call("forward_Y", title, (Y[..., part],))
            samples = part.stop - part.start
            return (_latent(self, np.repeat(once, samples, axis=1), spatial, samples),)

        return _sample(self, title, n, spatial, rng, parts, 1, latent)[0]


class TwoLanesJacobian:
    """Derivatives of a network with two inputs and two outputs."""

    def jacobian(
        self, dX: np.ndarray, dY: np.ndarray, dtheta: Direction, X: np.ndarray, Y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The derivative of `forward` along a direction of the inputs and of the parameters.

        Args:
            dX, dY: directions of the inputs.
            dtheta: direction of each parameter by name; those left out do not move.
            X, Y: the inputs.

        Returns:
            `(dZx, dZy, Zx, Zy)`: the derivatives of the outputs, and the outputs.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, an unknown parameter, or ActNorm was never initialised.
        """
        return jacobian(self, dtheta, (self._data,) * 4, dX=dX, dY=dY, X=X, Y=Y)

    def adjoint_jacobian(self, dZx: np.ndarray, dZy: np.ndarray, Zx: np.ndarray, Zy: np.ndarray) -> tuple:
        """The adjoint of `jacobian`: the gradient of `sum(dZx Zx) + sum(dZy Zy)`. Log-determinants have no part in
        it, all uses of a shared block have, and the parameters' own gradients stay as they are.

        Args:
            dZx, dZy: of the outputs' shape.
            Zx, Zy: what `forward` returned.

        Returns:
            `(dX, dY, dtheta, X, Y)`: gradients of the inputs and of each parameter by name, and the inputs
            recomputed.

        Raises:
            TypeError, ValueError: as `backward`.
        """
        return adjoint_jacobian(self, (self._latent,) * 4, dZx=dZx, dZy=dZy, Zx=Zx, Zy=Zy)


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
