"""Networks with two inputs and two outputs of one shape."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ...arrays.cuda_interface import to_numpy
from ...arrays.latents import Array, by_sample
from ...arrays.spec import ArraySpec
from ...arrays.stored import is_stored
from . import density, jacobians
from .jacobians import Direction
from .layer import Layer


class PairFlow(Layer):
    """A network or layer with two inputs and two outputs of one shape: a density of `X` and `Y` together."""

    _density_given: ClassVar[bool] = False

    def _create(
        self, engine: str | None, seed: int | None, data: ArraySpec, latent: ArraySpec | None = None, **more: Any
    ) -> None:
        """Make the model; `more` goes to the signature."""
        latent, more = latent or data, {"density_given": self._density_given} | more
        self._open(engine, seed, self._described({"X": data, "Y": data}, {"Zx": latent, "Zy": latent}, **more))

    # Propagation

    def forward(self, X: np.ndarray, Y: np.ndarray) -> tuple[Any, ...]:
        """From data to latent.

        Args:
            X: shape `(nx, [ny, [nz,]] n_channels, n_samples)`, of the network's dtype.
            Y: the other array, of X's shape.

        Returns:
            `(Zx, Zy)`, or `(Zx, Zy, lgdet)` where the log-determinant is tracked: `lgdet` is a float, the mean over
            the batch. Each is a flat vector with `split_scales=True`.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, or ActNorm cannot be initialised. The network is unchanged.
        """
        return self._run("forward", (self.signature.data,) * 2, X=X, Y=Y)

    def inverse(self, Zx: np.ndarray, Zy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From latent to data.

        Args:
            Zx, Zy: as `forward` returns them.

        Returns:
            `(X, Y)`.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised.
        """
        return self._run("inverse", (self.signature.latent,) * 2, Zx=Zx, Zy=Zy)

    def backward(
        self, dZx: np.ndarray, dZy: np.ndarray, Zx: np.ndarray, Zy: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
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
        return self._run("backward", (self.signature.latent,) * 4, dZx=dZx, dZy=dZy, Zx=Zx, Zy=Zy)

    def forward_by_sample(self, X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`forward`, with the log-determinant of each sample.

        Returns:
            `(Zx, Zy, lgdets)`: `lgdets` has shape `(n_samples,)` and is float64, whatever the network's dtype.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised, or the network
                keeps no log-determinant.
        """
        title = f"{self.title}.forward_by_sample"
        density.check_logdet(self, title)
        return density.by_each_sample(self, title, self._pair(title, X, Y), keeps=True)

    def pull_back(
        self, cotangents: tuple[Array, ...], latents: tuple[Array, ...], condition: tuple[Array, ...], inputs: tuple
    ) -> tuple[Array, ...]:
        """`backward` for any kind of network: the gradients of `inputs`, from those of the latents."""
        return self.backward(*cotangents, *latents)[:2]

    def _pair(self, title: str, X: np.ndarray, Y: np.ndarray) -> tuple[Array, ...]:
        return self.checked(title, (self.signature.data,) * 2, {"X": X, "Y": Y})

    # Density

    def log_prob(self, X: np.ndarray, Y: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density of each pair of samples, in nats, the Gaussian's constant included.

        It is that of both together, log p(x, y). A network that keeps volumes (`HyperbolicLayer`,
        `NetworkHyperbolic`) has the log-determinant zero, whatever `forward` returns for it.

        Args:
            X, Y: data as `forward` takes it, or arrays outside memory as `inv.fit` takes them.
            batch_size: how many samples go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`, of the network's dtype; the sums are taken in 64 bits.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, the network keeps no log-determinant (`logdet=False`), or ActNorm was never
                initialised.
        """
        if any(map(is_stored, (X, Y))):
            return density.in_blocks(self, self.log_prob, (X, Y), batch_size)
        title = f"{self.title}.log_prob"
        density.check_tracked(self, title)
        return density.log_prob(self, title, self._pair(title, X, Y), batch_size)

    def sample(
        self,
        n: int,
        *,
        spatial: tuple[int, ...] | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        share: tuple[int, int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Samples `(X, Y)`: `inverse` of Gaussian noise in both.

        Args:
            n: how many.
            spatial: image size `(nx, ny)`, by default that of the last `forward`; it is remembered as `G.spatial`.
            seed: the same seed gives the same samples, on either engine and whatever the `batch_size`.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.
            share: `(rank, ranks)`: only the whole batches that are the share of one of several processes. Theirs, in
                the order of the ranks, are what one process draws.

        Returns:
            `(X, Y)`, each of shape `(*spatial, n_channels, n)` and of the network's dtype.

        Raises:
            TypeError: spatial is no tuple of integers.
            ValueError: an argument is out of range, the image size is not known, or ActNorm was never initialised.
        """
        return density.sample(self, f"{self.title}.sample", n, spatial, seed, batch_size, share)

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
        title = f"{self.title}.sample_and_log_prob"
        density.check_tracked(self, title)
        X, Y = density.sample(self, title, n, spatial, seed, batch_size)
        return X, Y, density.log_prob(self, title, (X, Y), batch_size)

    # Derivatives along a direction

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
        return jacobians.jacobian(self, dtheta, (self.signature.data,) * 4, dX=dX, dY=dY, X=X, Y=Y)

    def adjoint_jacobian(self, dZx: np.ndarray, dZy: np.ndarray, Zx: np.ndarray, Zy: np.ndarray) -> tuple[Any, ...]:
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
        return jacobians.adjoint_jacobian(self, (self.signature.latent,) * 4, dZx=dZx, dZy=dZy, Zx=Zx, Zy=Zy)


class ConditionalPairFlow(PairFlow):
    """A pair of which `Y` goes its way without `X`: it can be transformed alone, and `X` be drawn given it.

    So log p(x | y) = log p(x, y) - log p(y), and to draw from it is to draw the latent of `X` alone.
    """

    _density_given = True

    def forward_Y(self, Y: np.ndarray) -> np.ndarray:
        """The latent `Zy` of `Y` alone, as `forward` gives it.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also before the first `forward`, which sets ActNorm.
        """
        return self._run("forward_Y", (self.signature.data,), Y=Y)

    def inverse_Y(self, Zy: np.ndarray) -> np.ndarray:
        """The inverse of `forward_Y`.

        Raises:
            TypeError, ValueError: as `inverse`.
        """
        return self._run("inverse_Y", (self.signature.latent,), Zy=Zy)

    def log_prob_given(self, X: np.ndarray, Y: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density log p(x | y) of each sample of `X` given `Y`, in nats, the Gaussian's constant included.

        Args:
            X: data as `forward` takes it, or an array outside memory as `inv.fit` takes it.
            Y: what is given, for each sample or one for all.
            batch_size: how many samples go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`, of the network's dtype; the sums are taken in 64 bits.

        Raises:
            TypeError, ValueError: as `log_prob`.
        """
        if any(map(is_stored, (X, Y))):
            return density.in_blocks(self, self.log_prob_given, (X, Y), batch_size)
        title, spec = f"{self.title}.log_prob_given", self.signature.data
        density.check_tracked(self, title)
        X, Y = (self._accepted(name, array, spec, title) for name, array in (("X", X), ("Y", Y)))
        self._check_together(title, ("X", "Y"), (spec, spec), (X, density.for_each(Y, X.shape[-1])))

        def x_given_y(inputs: tuple[Array, ...]) -> tuple[tuple[Array, ...], Array]:
            Zx, _, logdets = self.propagate("forward_by_sample", title, inputs)
            _, logdets_of_Y = self.propagate("forward_Y_by_sample", title, inputs[1:])
            return (Zx,), logdets - logdets_of_Y

        return density.log_prob(self, title, (X, Y), batch_size, x_given_y)

    def sample_given(
        self,
        n: int,
        Y: np.ndarray,
        *,
        each: bool = False,
        seed: int | None = None,
        batch_size: int | None = None,
        share: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Samples of `X` given `Y`: `inverse` of Gaussian noise beside `forward_Y(Y)`.

        Args:
            n: how many.
            Y: what is given: one, for all samples, or `n`, one for each sample; with `each` any number `m`.
            each: draw `n` samples for each of those in `Y`.
            seed: the same seed gives the same samples, on either engine and whatever the `batch_size`.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.
            share: `(rank, ranks)`: only the whole batches that are the share of one of several processes. Theirs, in
                the order of the ranks, are what one process draws; with
                `each` they stay on one axis, `m` for the first of `n`, `m` for the next.

        Returns:
            Shape `(*spatial, n_channels, n)`, of the network's dtype, with Y's spatial sizes; with `each`
            `(*spatial, n_channels, m, n)`, where `[..., j, :]` are given the `j`th.

        Raises:
            TypeError: Y is not an array of the network's dtype.
            ValueError: an argument is out of range, Y has the wrong shape, or ActNorm was never initialised.
        """
        title = f"{self.title}.sample_given"
        n, rng = density.count(title, "n", n), density.generator(title, seed)
        Y = self._accepted("Y", Y, self.signature.data, title)
        m = Y.shape[-1]
        if not each:
            density.check_number(title, "Y", Y, n)
        total = n * m if each else n
        parts = density.batches(title, total, batch_size, share)
        self.check_initialised(title)
        spatial, once = Y.shape[:-2], None
        if m == 1:
            (Zy,) = self.propagate("forward_Y", title, (Y,))
            once = by_sample(to_numpy(Zy), 1, self.signature.splits)

        def latent_of_Y(part: slice) -> tuple[Array, ...]:
            if once is None:
                of_part = density.in_turn(self, Y, part) if each else Y[..., part]
                return self.propagate("forward_Y", title, (of_part,))
            samples = part.stop - part.start
            return (density.latent(self, np.repeat(once, samples, axis=1), spatial, samples),)

        (X,) = density.inverted(self, title, spatial, rng, parts, 1, latent_of_Y)
        return density.of_each_condition(self, X, m) if each and share is None else X
