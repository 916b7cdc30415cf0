"""Networks with one input and one output."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays.latents import Array
from ...arrays.spec import ArraySpec
from ...arrays.stored import is_stored
from . import density, jacobians
from .jacobians import Direction
from .layer import Layer


class Flow(Layer):
    """A network or layer with one input and one output: a density of `X`."""

    def _create(
        self, engine: str | None, seed: int | None, data: ArraySpec, latent: ArraySpec | None = None, **more: Any
    ) -> None:
        """Make the model; `more` goes to the signature."""
        self._open(engine, seed, self._described({"X": data}, {"Y": latent or data}, **more))

    # Propagation

    def forward(self, X: np.ndarray) -> tuple[np.ndarray, float] | np.ndarray:
        """From data to latent.

        Args:
            X: data, shape `(nx, [ny, [nz,]] n_channels, n_samples)`, of the network's dtype.

        Returns:
            `Y`, or `(Y, lgdet)` where the network was made with `logdet=True`: `lgdet` is a float, the mean over
            the batch of the log-determinant of the Jacobian. `Y` has X's shape, or is a flat vector with
            `split_scales=True`.

        Raises:
            TypeError: X is not an array of the network's dtype.
            ValueError: X has the wrong shape, or ActNorm cannot be initialised from it. The network is unchanged.
        """
        return self._run("forward", (self.signature.data,), X=X)

    def inverse(self, Y: np.ndarray) -> np.ndarray:
        """From latent to data.

        Args:
            Y: latent, as `forward` returns it. Where the network splits scales, it holds part after part of all
                samples, so that a piece of it is not samples; a piece of what `forward` last gave is refused.

        Returns:
            The data `X` with `forward(X) = Y`.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised.
        """
        return self._run("inverse", (self.signature.latent,), Y=Y)

    def backward(self, dY: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Set every parameter's gradient, recomputing the states from the output `Y` by inversion.

        The gradient is that of `f(Y) - lgdet` where the layer tracks the log-determinant, with `dY` the gradient of
        `f`; otherwise of `f(Y)`.

        Args:
            dY: gradient with respect to `Y`, of Y's shape.
            Y: what `forward` returned.

        Returns:
            `(dX, X)`: the gradient with respect to the input, and the input recomputed.

        Raises:
            TypeError, ValueError: as `inverse`.
        """
        return self._run("backward", (self.signature.latent,) * 2, dY=dY, Y=Y)

    def forward_by_sample(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`forward`, with the log-determinant of each sample.

        Returns:
            `(Y, lgdets)`: `lgdets` has shape `(n_samples,)` and is float64, whatever the network's dtype.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised, or the network
                keeps no log-determinant.
        """
        title = f"{self.title}.forward_by_sample"
        density.check_logdet(self, title)
        return density.by_each_sample(self, title, self.checked(title, (self.signature.data,), {"X": X}), keeps=True)

    def pull_back(
        self, cotangents: tuple[Array, ...], latents: tuple[Array, ...], condition: tuple[Array, ...], inputs: tuple
    ) -> tuple[Array, ...]:
        """`backward` for any kind of network: the gradients of `inputs`, from those of the latents."""
        dX, _ = self.backward(*cotangents, *latents)
        return (dX,)

    # Density

    def log_prob(self, X: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density of each sample, in nats, the Gaussian's constant included.

        Its mean is `-|z|^2 / 2 - D / 2 log(2 pi) + lgdet` over the batch. A layer that keeps volumes (`Conv1x1`,
        `CouplingLayerIRIM`) has the log-determinant zero.

        Args:
            X: data as `forward` takes it; or an array outside memory, such as an `h5py.Dataset`, as `inv.fit` takes
                it, which is read block by block.
            batch_size: how many samples go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`, of the network's dtype; the sums are taken in 64 bits.

        Raises:
            TypeError: X is not an array of the network's dtype.
            ValueError: X has the wrong shape, the network keeps no log-determinant (`logdet=False`), or ActNorm was
                never initialised.
        """
        if any(map(is_stored, (X,))):
            return density.in_blocks(self, self.log_prob, (X,), batch_size)
        title = f"{self.title}.log_prob"
        density.check_tracked(self, title)
        return density.log_prob(self, title, self.checked(title, (self.signature.data,), {"X": X}), batch_size)

    def sample(
        self,
        n: int,
        *,
        spatial: tuple[int, ...] | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        share: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Samples: `inverse` of Gaussian noise.

        Args:
            n: how many.
            spatial: image size `(nx, ny)`, by default that of the last `forward`; it is remembered as `G.spatial`.
            seed: the same seed gives the same samples, on either engine and whatever the `batch_size`.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.
            share: `(rank, ranks)`: only the whole batches that are the share of one of several processes. Theirs, in
                the order of the ranks, are what one process draws.

        Returns:
            Shape `(*spatial, n_channels, n)`, of the network's dtype.

        Raises:
            TypeError: spatial is no tuple of integers.
            ValueError: an argument is out of range, the image size is not known, or ActNorm was never initialised.
        """
        return density.sample(self, f"{self.title}.sample", n, spatial, seed, batch_size, share)[0]

    def sample_and_log_prob(
        self,
        n: int,
        *,
        spatial: tuple[int, ...] | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """`X = sample(n, ...)`, and `log_prob(X)`.

        Raises:
            TypeError, ValueError: as `sample` and `log_prob`.
        """
        title = f"{self.title}.sample_and_log_prob"
        density.check_tracked(self, title)
        (X,) = density.sample(self, title, n, spatial, seed, batch_size)
        return X, density.log_prob(self, title, (X,), batch_size)

    # Derivatives along a direction

    def jacobian(self, dX: np.ndarray, dtheta: Direction, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The derivative of `forward` along a direction of the input and of the parameters.

        Args:
            dX: direction of the input.
            dtheta: direction of each parameter by name; those left out do not move.
            X: the input.

        Returns:
            `(dY, Y)`: the derivative of the output, and the output.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, an unknown parameter, or ActNorm was never initialised.
        """
        return jacobians.jacobian(self, dtheta, (self.signature.data,) * 2, dX=dX, X=X)

    def adjoint_jacobian(self, dY: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """The adjoint of `jacobian`: the gradient of `sum(dY Y)`. Log-determinants have no part in it, all uses of a
        shared block have, and the parameters' own gradients stay as they are.

        Args:
            dY: of Y's shape.
            Y: what `forward` returned.

        Returns:
            `(dX, dtheta, X)`: gradients of the input and of each parameter by name, and the input recomputed.

        Raises:
            TypeError, ValueError: as `backward`.
        """
        return jacobians.adjoint_jacobian(self, (self.signature.latent,) * 2, dY=dY, Y=Y)
