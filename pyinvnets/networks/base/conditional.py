"""Networks over one array that a condition steers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ...arrays.cuda_interface import to_numpy
from ...arrays.latents import Array
from ...arrays.spec import ArraySpec
from ...arrays.stored import is_stored
from . import density
from .layer import Layer


class ConditionalFlow(Layer):
    """A network or layer over `X` that a condition `C` steers: a density of `X` given `C`."""

    returns_condition: ClassVar[bool] = True
    """Whether `forward` returns the condition, transformed, as `inverse` and `backward` then take it."""
    condition_has_datas_size: ClassVar[bool] = True
    """Whether the condition's images must have the spatial sizes of the data's."""

    def _create(
        self,
        engine: str | None,
        seed: int | None,
        data: ArraySpec,
        condition: ArraySpec,
        latent_condition: ArraySpec | None = None,
        **more: Any,
    ) -> None:
        """Make the model; `more` goes to the signature."""
        conditions = {"condition": condition, "latent_condition": latent_condition or condition}
        self._open(engine, seed, self._described({"X": data}, {"Z": data}, **conditions, **more))

    def _check_together(
        self, title: str, names: tuple[str, ...], specs: tuple[ArraySpec, ...], inputs: tuple[Array, ...]
    ) -> None:
        super()._check_together(title, names, specs, inputs)
        first, condition = inputs[0], inputs[-1]
        expected = first.shape[:-2]
        if specs[-1] is self.signature.latent_condition:
            expected = self.latent_condition_size(expected)
        if self.condition_has_datas_size and condition.shape[:-2] != expected:
            raise ValueError(
                f"{title}: {names[-1]} must have spatial sizes {expected}, for {names[0]} of shape {first.shape}, got "
                f"shape {condition.shape}"
            )

    def latent_condition_size(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """The size of the condition's images as `inverse` takes them, for images of this size."""
        return spatial

    def size_given(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The size of the data's images that a condition with images of this size belongs to."""
        return size

    def input_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...] | None]:
        return {"X": shape, "C": (*shape[:-2], self.signature.condition.channels, shape[-1])}

    # Propagation

    def forward(self, X: np.ndarray, C: np.ndarray) -> tuple[Any, ...] | np.ndarray:
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
        return self._run("forward", (self.signature.data, self.signature.condition), X=X, C=C)

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
        return self._run("inverse", (self.signature.latent, self.signature.latent_condition), Z=Z, C=C)

    def backward(self, dZ: np.ndarray, Z: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
        latent = self.signature.latent
        return self._run("backward", (latent, latent, self.signature.latent_condition), dZ=dZ, Z=Z, C=C)

    def forward_by_sample(self, X: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, ...]:
        """`forward`, with the log-determinant of each sample.

        Returns:
            What `forward` returns, with `lgdets` in place of `lgdet`: shape `(n_samples,)`, float64, whatever the
            network's dtype.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised, or the layer
                keeps no log-determinant.
        """
        title, specs = f"{self.title}.forward_by_sample", (self.signature.data, self.signature.condition)
        density.check_logdet(self, title)
        return density.by_each_sample(self, title, self.checked(title, specs, {"X": X, "C": C}), keeps=True)

    def pull_back(
        self, cotangents: tuple[Array, ...], latents: tuple[Array, ...], condition: tuple[Array, ...], inputs: tuple
    ) -> tuple[Array, ...]:
        """`backward` for any kind of network: the gradients of `inputs`, from those of the latents.

        Args:
            condition: what `forward` made of it; empty where `forward` does not return it.
        """
        dX, _, dC = self.backward(*cotangents, *latents, *(condition or inputs[1:]))
        return dX, dC

    # Density

    def log_prob(self, X: np.ndarray, C: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density of each sample given its condition, in nats, the Gaussian's constant included.

        Args:
            X: data as `forward` takes it, or an array outside memory as `inv.fit` takes it.
            C: condition as `forward` takes it, for each sample or one for all.
            batch_size: how many samples go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`, of the network's dtype; the sums are taken in 64 bits.

        Raises:
            TypeError: an array is not of the network's dtype.
            ValueError: a wrong shape, a layer that keeps no log-determinant (`logdet=False`), or ActNorm was never
                initialised.
        """
        if any(map(is_stored, (X, C))):
            return density.in_blocks(self, self.log_prob, (X, C), batch_size)
        title, specs = f"{self.title}.log_prob", (self.signature.data, self.signature.condition)
        density.check_tracked(self, title)
        X, C = (self._accepted(name, a, spec, title) for name, a, spec in zip("XC", (X, C), specs, strict=True))
        self._check_together(title, ("X", "C"), specs, (X, density.for_each(C, X.shape[-1])))
        return density.log_prob(self, title, (X, C), batch_size)

    def sample(
        self,
        n: int,
        C: np.ndarray,
        *,
        each: bool = False,
        seed: int | None = None,
        batch_size: int | None = None,
        share: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Samples given the condition: `inverse` of Gaussian noise.

        Args:
            n: how many.
            C: condition as `forward` takes it: one, for all samples, or `n`, one for each sample; with `each` any
                number `m` of them.
            each: draw `n` samples for each of the conditions in `C`.
            seed: the same seed gives the same samples, on either engine and whatever the `batch_size`.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.
            share: `(rank, ranks)`: only the whole batches that are the share of one of several processes. Theirs, in
                the order of the ranks, are what one process draws; with
                `each` they stay on one axis, `m` for the first of `n`, `m` for the next.

        Returns:
            Shape `(*spatial, n_channels, n)`, of the network's dtype, with C's spatial sizes or those of its summary;
            with `each` `(*spatial, n_channels, m, n)`, where `[..., j, :]` are given condition `j`.

        Raises:
            TypeError: C is not an array of the network's dtype.
            ValueError: an argument is out of range, C has the wrong shape, or ActNorm was never initialised.
        """
        X, C = self._samples(f"{self.title}.sample", n, C, each, seed, batch_size, share)
        return density.of_each_condition(self, X, C.shape[-1]) if each and share is None else X

    def sample_and_log_prob(
        self,
        n: int,
        C: np.ndarray,
        *,
        each: bool = False,
        seed: int | None = None,
        batch_size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """`X = sample(n, C, ...)`, and `log_prob(X, C)`, with `each` of shape `(m, n)`.

        Raises:
            TypeError, ValueError: as `sample` and `log_prob`.
        """
        title = f"{self.title}.sample_and_log_prob"
        density.check_tracked(self, title)
        X, C = self._samples(title, n, C, each, seed, batch_size)
        if not each:
            return X, density.log_prob(self, title, (X, C), batch_size)
        m, samples = C.shape[-1], X.shape[-1]
        result = density.log_prob(self, title, (X, density.in_turn(self, C, slice(0, samples))), batch_size)
        return density.of_each_condition(self, X, m), density.of_each_condition(self, result, m)

    def _samples(
        self,
        title: str,
        n: int,
        C: np.ndarray,
        each: bool,
        seed: int | None,
        batch_size: int | None,
        share: tuple[int, int] | None = None,
    ) -> tuple[Array, Array]:
        """The samples, all on one axis, and `C` as it was checked. With `each` the conditions take turns."""
        n, rng = density.count(title, "n", n), density.generator(title, seed)
        data = self.signature.data
        C = self._accepted("C", C, self.signature.condition, title)
        spatial = self.size_given(C.shape[:-2])
        if not data.holds((*spatial, data.channels, 1)):
            raise ValueError(f"{title}: C must belong to data of {data.describe()}, got shape {C.shape}")
        m = C.shape[-1]
        if not each:
            density.check_number(title, "C", C, n)
        total = n * m if each else n
        parts = density.batches(title, total, batch_size, share)
        self.check_initialised(title)
        once = self._all_for_inverse(title, C, batch_size) if each or m == 1 else None

        def condition(part: slice) -> tuple[Array, ...]:
            return (self.condition_for_inverse(C[..., part]) if once is None else density.in_turn(self, once, part),)

        return *density.inverted(self, title, spatial, rng, parts, 1, condition), C

    def _all_for_inverse(self, title: str, C: Array, batch_size: int | None) -> Array:
        """`condition_for_inverse` of all conditions, no more at once than samples go through."""
        parts = [self.condition_for_inverse(C[..., part]) for part in density.batches(title, C.shape[-1], batch_size)]
        return parts[0] if len(parts) == 1 else self.place(np.concatenate([*map(to_numpy, parts)], axis=-1))

    def condition_for_inverse(self, C: Array) -> Array:
        """The condition as `inverse` takes it, from that which `forward` takes: for a network, what `forward` makes of
        it with any data.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised.
        """
        title = f"{self.title}.condition_for_inverse"
        C = self._accepted("C", C, self.signature.condition, title)
        if not self.returns_condition:
            return C
        X = self.place(np.zeros((*C.shape[:-2], self.signature.data.channels, C.shape[-1]), self.dtype, order="F"))
        self.check_initialised(title)
        return self.propagate("forward_by_sample", title, (X, C))[1]
