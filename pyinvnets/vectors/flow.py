"""A flow over plain vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..arrays.cuda_interface import to_numpy
from ..functions.activations import ActivationFunction
from ..functions.bases import BASES, BaseDistribution
from ..networks.base import density
from ..networks.base.initialisation import take_condition_as_given
from ..networks.base.layer import Layer
from ..networks.base.summary import Summary
from ..networks.base.wrapper import Wrapper
from ..training.fit import fit
from ..training.history import History
from .bounds import Bounds
from .couplings import coupled_network
from .features import Features
from .likelihood import RowLikelihood
from .rows import as_image, checked_rows, rows_of, some_rows
from .standardisation import Standardisation


class VectorFlow(Wrapper):
    """A normalising flow on rows: GLOW, or a neural spline flow, on images of one pixel.

    Arrays: data and latents `(n_samples, n_features)`, condition `(n_samples, n_cond)`, of the network's dtype.

    A flow with a condition standardises both at its first `fit`, and takes from the data what is linear in the
    condition: its network and its latents are those of the standardised residuals, densities and samples those of the
    data as it is given. It does not where ActNorm was set before, by a call of `forward`.

    A flow of one feature has a network of two. The second is independent Gaussian noise in training; samples leave it
    out, and `log_prob` sums over it.

    Args:
        n_features: number of features.
        n_cond: number of features of the condition; 0 for a flow without one.
        n_hidden: number of hidden features of the residual blocks.
        K: number of flow steps.
        coupling: `"affine"`, or `"spline"` for splines, which fit several modes and sharp edges better; see
            `NetworkSpline`.
        activation: of the affine coupling layers' scale, by default `Sigmoid2Layer()`.
        bounds: of features that have any, such as `(0, 1)` for all, or `[(0, None), None]`, the first positive and the
            second free: `None` or a pair for each feature. The network has them on the line, by the logit or the
            logarithm; samples lie within the bounds, and the density is zero outside.
        base: distribution of the latents, `inv.StudentT(df)` or `inv.GaussianMixture(means)`; by default the standard
            Gaussian.
        engine: `"julia"`, `"numpy"` or `"auto"`; see `use_engine`.
        seed: seed of the initial weights.

    Attributes:
        network: the `NetworkGlow` or `NetworkSpline`, with a condition the conditional one. `inv.save`,
            `inv.get_params` and their like take the flow itself, and `inv.load` gives it back.
        n_features, bounds, base: as above.
        features: how the network has the rows.
        standardisation: what `fit` found, or `None`.

    Raises:
        TypeError, ValueError: unfit arguments.

    >>> import pyinvnets as inv
    >>> X = np.random.default_rng(1).standard_normal((600, 3), dtype=np.float32) ** 3
    >>> flow = inv.VectorFlow(3, engine="numpy", seed=1)
    >>> history = flow.fit(X, epochs=2, batch_size=60, seed=1, progress=False)
    >>> flow.log_prob(X).shape, flow.sample(5, seed=2).shape
    ((600,), (5, 3))
    """

    takes_rows = True

    def __init__(
        self,
        n_features: int,
        *,
        n_cond: int = 0,
        n_hidden: int = 32,
        K: int = 8,
        coupling: str = "affine",
        activation: ActivationFunction | None = None,
        bounds: Any = None,
        base: BaseDistribution | None = None,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        width = 2 if n_features == 1 else n_features
        self.network = coupled_network(coupling, activation, width, n_cond, n_hidden, K, engine, seed)
        self._have(n_features, bounds, base)
        self._standardises = n_cond > 0

    @classmethod
    def of(
        cls, network: Layer, *, n_features: int | None = None, bounds: Any = None, base: BaseDistribution | None = None
    ) -> VectorFlow:
        """The flow on rows of a network that takes images of one pixel; it is shared, not copied, and what it is
        given is not standardised.

        Args:
            network: with or without a condition.
            n_features: as many as the network has channels, or 1 for a network of two.
            bounds, base: see the class.

        Raises:
            TypeError: it is no network over one array, with or without a condition.
            ValueError: it does not take images of one pixel, or other arguments do not fit it.
        """
        signature = getattr(network, "signature", None)
        if signature is None or not signature.invertible or len(signature.inputs) > 1:
            raise TypeError(f"VectorFlow.of: expected a network over one array, got {network!r}")
        space = signature.data
        if signature.flat or not space.ndims or not space.holds((*(1,) * space.ndims, space.channels, 1)):
            raise ValueError(f"VectorFlow.of: expected a network that takes images of one pixel, got {network!r}")
        channels = space.channels if n_features is None else n_features
        if channels != space.channels and (channels, space.channels) != (1, 2):
            raise ValueError(
                f"VectorFlow.of: n_features must be {space.channels} for {network!r}, or 1 for a network of two, got "
                f"{n_features!r}"
            )
        flow = cls.__new__(cls)
        flow.network = network
        flow._have(channels, bounds, base)
        return flow

    def _have(self, n_features: int, bounds: Any, base: BaseDistribution | None) -> None:
        if base is not None:
            if not isinstance(base, BaseDistribution):
                raise TypeError(f"VectorFlow: base must be a distribution such as StudentT(5), or None, got {base!r}")
            base.check(self.network.signature.data.channels)
        self.base = base
        self.features = Features(n_features, Bounds("VectorFlow", bounds, n_features))
        self._standardises = False

    @property
    def n_features(self) -> int:
        return self.features.n_features

    @property
    def bounds(self) -> Any:
        return self.features.bounds.arguments

    @property
    def standardisation(self) -> Standardisation | None:
        return self.features.standardisation

    def fit(self, X: np.ndarray, condition: np.ndarray | None = None, **options: Any) -> History:
        """Train in place by maximum likelihood.

        Args:
            X: data.
            condition: as many rows.
            options: those of `inv.fit`, such as `epochs` and `batch_size`; `validation` may be rows too. `noise` is
                in standard deviations where the flow standardises.

        Returns:
            The history. Of data with bounds the objective is that of the data on the line.

        Raises:
            TypeError, ValueError: as `inv.fit`; ValueError also for data outside of the bounds.
        """
        X, C = self._checked("fit", X, condition)
        held_out = options.get("validation")
        if isinstance(held_out, (np.ndarray, tuple)):
            held_out = self._checked("fit", *(held_out if isinstance(held_out, tuple) else (held_out, None)))
            self.features.bounds.check("VectorFlow.fit, validation", held_out[0])
        self.features.bounds.check("VectorFlow.fit", X)
        self._standardise(X, C)
        constant = 0.0 if self.standardisation is None else self.standardisation.logdet
        options = {"objective": RowLikelihood(self.base, constant)} | options
        rng = np.random.default_rng(options.get("seed"))
        if isinstance(held_out, tuple):
            options["validation"] = self._to_train(*held_out, rng)
        with self._or_not_standardised():
            return fit(self.network, *self._to_train(X, C, rng), **options)

    def initialise(self, X: np.ndarray, condition: np.ndarray | None = None) -> None:
        """Set the standardisation and the ActNorms from data, which are else set by the first `fit`. Where ActNorm was
        set before, nothing changes.

        Raises:
            TypeError, ValueError: unfit arrays, as `fit`; ValueError also for a feature that does not vary.
        """
        X, C = self._checked("initialise", X, condition)
        self.features.bounds.check("VectorFlow.initialise", X)
        self._standardise(X, C)
        with self._or_not_standardised():
            self.network.forward(*self._to_train(X, C, np.random.default_rng(0)))

    @contextmanager
    def _or_not_standardised(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._standardises and not self.network.initialised:
                self.features.standardisation = None

    def _standardise(self, X: np.ndarray, C: np.ndarray | None) -> None:
        """Find the standardisation of the data, unless ActNorm was set for other scales."""
        if not self._standardises or C is None or self.network.initialised or len(X) != len(C):
            return
        if not self.features.standardise(X, C):
            return  # `fit` says where the data is not finite.
        # A standardised condition needs no ActNorm, and a feature that never varies could have none.
        take_condition_as_given(self.network)

    def _to_train(self, X: np.ndarray, C: np.ndarray | None, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        R, _ = self.features.of_network(X, C)
        return self._images(self.features.with_noise(R, rng), C)

    def forward(self, X: np.ndarray, C: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """From data to latent.

        Returns:
            `(Z, lgdet)`: latents, and the mean of the log-determinant.

        Raises:
            TypeError, ValueError: unfit arrays; ValueError also for data outside of the bounds, and for a flow of one
                feature, which has a density but no latent of its own.
        """
        X, C = self._checked("forward", X, C)
        if self.n_features != self.network.signature.data.channels:
            raise ValueError(
                "VectorFlow.forward: with n_features=1 there is no latent of the feature alone, for the network takes "
                "noise beside it; write log_prob, sample, or network.forward with both"
            )
        self.features.bounds.check("VectorFlow.forward", X)
        R, logdet = self.features.of_network(X, C)
        Z, *_, lgdet = self.network.forward(*self._images(R, C))
        return self._rows(Z), lgdet + float(np.mean(logdet))

    def inverse(self, Z: np.ndarray, C: np.ndarray | None = None) -> np.ndarray:
        """From latent to data.

        Args:
            Z: latents.
            C: the condition as it is given to `forward`.

        Raises:
            TypeError, ValueError: unfit arrays; ValueError also before the first `forward`.
        """
        Z = checked_rows("VectorFlow.inverse", "Z", Z, self.network.signature.data.channels)
        C = self._checked_condition("inverse", C)
        self.network.check_initialised("VectorFlow.inverse")
        return self.features.of_data(self._inverted(Z, C), C)

    def _inverted(self, Z: np.ndarray, C: np.ndarray | None) -> np.ndarray:
        """The network's rows."""
        Z, *condition = self._images(Z, C)
        return self._rows(self.network.inverse(Z, *(self.network.condition_for_inverse(array) for array in condition)))

    def log_prob(self, X: np.ndarray, C: np.ndarray | None = None, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density of each row, in nats; minus infinity outside of the bounds.

        Args:
            X: data.
            C: condition, for each row or one for all.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`.

        Raises:
            TypeError, ValueError: unfit arrays; ValueError also before the first `forward`.
        """
        X, C = self._checked("log_prob", X, C)
        features, held = self.features, None
        if features.bounds:
            held = features.bounds.hold(X)
            X = np.where(held[:, None] | np.isnan(X), X, features.bounds.bounded(np.zeros_like(X[:1])))
        R, logdet = features.of_network(X, C)
        result = features.over_noise(lambda rows: self._network_log_prob(rows, C, batch_size), R)
        if features.changed:
            result = (to_numpy(result) + logdet).astype(X.dtype)
        return result if held is None else np.where(held | np.isnan(result), result, -np.inf).astype(X.dtype)

    def _network_log_prob(self, R: np.ndarray, C: np.ndarray | None, batch_size: int | None) -> np.ndarray:
        """That of the network's rows."""
        if self.base is None:
            return self.network.log_prob(*self._images(R, C), batch_size=batch_size)
        parts = density.batches("VectorFlow.log_prob", len(R), batch_size)
        return np.concatenate([self._of_base(R[part], some_rows(C, part)) for part in parts])

    def _of_base(self, R: np.ndarray, C: np.ndarray | None) -> np.ndarray:
        Z, *_, logdets = self.network.forward_by_sample(*self._images(R, C))
        return (self.base.log_prob(rows_of(to_numpy(Z))) + to_numpy(logdets)).astype(R.dtype)

    def sample(
        self,
        n: int,
        C: np.ndarray | None = None,
        *,
        each: bool = False,
        seed: int | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Samples of the density.

        Args:
            n: how many.
            C: condition, one for all or `n`, one for each sample; with `each` any number `m` of them.
            each: draw `n` samples for each row of `C`.
            seed: the same seed gives the same samples, on either engine.
            batch_size: as for `log_prob`.

        Returns:
            Shape `(n, n_features)`; with `each` `(n, m, n_features)`, where `[:, j]` are given row `j` of `C`.

        Raises:
            TypeError, ValueError: unfit arguments; ValueError also before the first `forward`.
        """
        R, C = self._drawn("sample", n, C, each, seed, batch_size)
        return self.features.of_data(R, C)

    def sample_and_log_prob(
        self,
        n: int,
        C: np.ndarray | None = None,
        *,
        each: bool = False,
        seed: int | None = None,
        batch_size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """`X = sample(n, C, ...)`, and `log_prob(X, C)`, with `each` of shape `(n, m)`.

        Raises:
            TypeError, ValueError: as `sample`.
        """
        R, C = self._drawn("sample_and_log_prob", n, C, each, seed, batch_size)
        X = self.features.of_data(R, C)
        if not each or C is None:
            return X, self.log_prob(np.ascontiguousarray(X), C, batch_size=batch_size)
        rows = np.ascontiguousarray(X).reshape(-1, self.n_features)
        return X, self.log_prob(rows, np.tile(C, (n, 1)), batch_size=batch_size).reshape(X.shape[:-1])

    def _drawn(
        self, method: str, n: int, C: np.ndarray | None, each: bool, seed: int | None, batch_size: int | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Samples as the network has them, and the condition as it was checked."""
        C = self._checked_condition(method, C)
        if C is not None and not each and len(C) not in (1, n):
            raise ValueError(
                f"VectorFlow.{method}: the condition must have one row, or n = {n}, got shape {C.shape}; write "
                "each=True to draw n samples for each row"
            )
        if C is None and each:
            raise ValueError(f"VectorFlow.{method}: each=True is for the rows of a condition, and the flow takes none")
        if self.base is not None:
            return self._drawn_of_base(f"VectorFlow.{method}", n, C, each, seed, batch_size), C
        if C is None:
            given: dict[str, Any] = {"spatial": (1,) * self.network.signature.data.ndims}
        else:
            given = {"C": self._condition_images(C), "each": each}
        return self._rows(self.network.sample(n, **given, seed=seed, batch_size=batch_size)), C

    def _drawn_of_base(
        self, title: str, n: int, C: np.ndarray | None, each: bool, seed: int | None, batch_size: int | None
    ) -> np.ndarray:
        n, rng = density.count(title, "n", n), density.generator(title, seed)
        self.network.check_initialised(title)
        # Row by row, so that a seed gives the same samples in batches of any size; conditions take turns.
        turns = len(C) if each and C is not None else 1
        Z = self.base.sample(rng, n * turns, self.network.signature.data.channels).astype(self.dtype)
        if C is not None and len(C) > 1:
            C = np.tile(C, (n, 1)) if each else C
        parts = density.batches(title, len(Z), batch_size)
        R = np.concatenate([to_numpy(self._inverted(Z[part], some_rows(C, part))) for part in parts])
        return R.reshape(n, turns, -1) if each else R

    def summary(self, input_shape: tuple[int, int]) -> Summary:
        """The network's layers, see `Layer.summary`.

        Args:
            input_shape: shape of the rows, `(n_samples, n_features)`.

        Raises:
            TypeError, ValueError: it is no such shape.
        """
        shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
        if len(shape) != 2:
            raise ValueError(
                f"VectorFlow.summary: input_shape must be (n_samples, n_features), such as (64, "
                f"{self.network.signature.data.channels}), got {input_shape!r}"
            )
        return self.network.summary((*(1,) * self.network.signature.data.ndims, *shape[::-1]))

    def __repr__(self) -> str:
        words = [repr(self.network)]
        if self.n_features != self.network.signature.data.channels:
            words.append(f"n_features={self.n_features}")
        words += [f"{name}={value!r}" for name in ("bounds", "base") if (value := getattr(self, name)) is not None]
        return f"VectorFlow.of({', '.join(words)})"

    # Files

    def form(self) -> dict[str, Any]:
        """What a file must hold of the flow beside its network."""
        found = None if self.standardisation is None else self.standardisation.arrays()
        return {
            "n_features": self.n_features,
            "bounds": self.bounds,
            "base": self.base and {"class": type(self.base).__name__, "arguments": self.base.arguments},
            "standardisation": found,
        }

    @classmethod
    def formed(cls, network: Layer, form: dict[str, Any]) -> VectorFlow:
        base = form.get("base") and BASES[form["base"]["class"]](**form["base"]["arguments"])
        flow = cls.of(network, n_features=form.get("n_features"), bounds=form.get("bounds"), base=base)
        if form.get("standardisation"):
            found, takes = Standardisation.loaded(form["standardisation"]), network.signature.condition
            if takes is None or found.slope.shape != (takes.channels, flow.n_features):
                raise ValueError(f"its standardisation is of shape {found.slope.shape}, not that of {network!r}")
            flow.features.standardisation = found
        return flow

    # Rows and images

    def _checked(self, method: str, X: np.ndarray, C: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        X = checked_rows(f"VectorFlow.{method}", "X", X, self.n_features)
        C = self._checked_condition(method, C)
        if self.features.changed and C is not None and len(C) not in (1, len(X)):
            raise ValueError(
                f"VectorFlow.{method}: X and the condition must have as many rows, got {X.shape}, {C.shape}"
            )
        return X, C

    def _checked_condition(self, method: str, C: np.ndarray | None) -> np.ndarray | None:
        takes = self.network.signature.condition
        if (takes is None) != (C is None):
            needed = "needs a condition too" if C is None else "takes no condition"
            raise ValueError(f"VectorFlow.{method}: {self.network!r} {needed}")
        return None if takes is None else checked_rows(f"VectorFlow.{method}", "the condition", C, takes.channels)

    def _images(self, R: np.ndarray, C: np.ndarray | None) -> tuple[np.ndarray, ...]:
        """The network's rows, and the condition as it was given, as images of one pixel, without a copy."""
        images = as_image(R, self.network.signature.data)
        return (images,) if C is None else (images, self._condition_images(C))

    def _condition_images(self, C: np.ndarray) -> np.ndarray:
        return as_image(self.features.condition(C), self.network.signature.condition)

    def _rows(self, images: np.ndarray) -> np.ndarray:
        """Images of one pixel as rows, without a copy; of samples on two axes `(m, n)`, those of shape `(n, m)`."""
        return images.T.reshape(images.shape[: self.network.signature.data.ndims - 1 : -1])
