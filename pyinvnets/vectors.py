"""Flows over plain vectors: a row is a sample. To GLOW a vector is an image of one pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays.spec import ArraySpec
from .functions.activations import ActivationFunction, Sigmoid2Layer
from .networks.base.layer import Layer
from .networks.base.parameters import get_params
from .networks.base.summary import Summary
from .networks.base.wrapper import Wrapper
from .networks.glow import NetworkConditionalGlow, NetworkGlow
from .networks.spline import NetworkConditionalSpline, NetworkSpline
from .training.fit import fit
from .training.history import History

_NETWORKS: dict[str, tuple[type[Layer], type[Layer]]] = {
    "affine": (NetworkGlow, NetworkConditionalGlow),
    "spline": (NetworkSpline, NetworkConditionalSpline),
}
"""Without and with a condition."""


class VectorFlow(Wrapper):
    """A normalising flow on rows: GLOW, or a neural spline flow, on images of one pixel.

    Arrays: data and latents `(n_samples, n_features)`, condition `(n_samples, n_cond)`, of the network's dtype. They
    are not copied where they are C-contiguous.

    Args:
        n_features: number of features, two or more.
        n_cond: number of features of the condition; 0 for a flow without one.
        n_hidden: number of hidden features of the residual blocks.
        K: number of flow steps.
        coupling: `"affine"`, or `"spline"` for splines, which fit several modes and sharp edges better; see
            `NetworkSpline`.
        activation: of the affine coupling layers' scale, by default `Sigmoid2Layer()`.
        engine: `"julia"`, `"numpy"` or `"auto"`; see `use_engine`.
        seed: seed of the initial weights.

    Attributes:
        network: the `NetworkGlow` or `NetworkSpline`, with a condition the conditional one. `inv.save`,
            `inv.get_params` and their like take the flow itself, and `inv.load` gives it back.

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
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        if n_features == 1:
            raise ValueError(
                "VectorFlow: n_features must be at least 2, got 1: a coupling layer changes some features as the "
                "others say. Give the data a second feature, such as standard normal noise"
            )
        # A kernel of three would be eight ninths padding.
        options: dict[str, Any] = {"k1": 1, "p1": 0, "engine": engine, "seed": seed}
        if coupling == "affine":
            options["activation"] = Sigmoid2Layer() if activation is None else activation
        elif coupling != "spline":
            raise ValueError(f'VectorFlow: coupling must be "affine" or "spline", got {coupling!r}')
        elif activation is not None:
            raise ValueError(f'VectorFlow: activation is for coupling="affine", got {activation!r} with "spline"')
        plain, conditional = _NETWORKS[coupling]
        if n_cond:
            self.network = conditional(n_features, n_cond, n_hidden, 1, K, **options)
        else:
            self.network = plain(n_features, n_hidden, 1, K, **options)
        _spread(self.network, seed)

    @classmethod
    def of(cls, network: Layer) -> VectorFlow:
        """The flow on rows of a network that takes images of one pixel; it is shared, not copied.

        Raises:
            TypeError: it is no network over one array, with or without a condition.
            ValueError: it does not take images of one pixel.
        """
        signature = getattr(network, "signature", None)
        if signature is None or not signature.invertible or len(signature.inputs) > 1:
            raise TypeError(f"VectorFlow.of: expected a network over one array, got {network!r}")
        space = signature.data
        if signature.flat or not space.ndims or not space.holds((*(1,) * space.ndims, space.channels, 1)):
            raise ValueError(f"VectorFlow.of: expected a network that takes images of one pixel, got {network!r}")
        flow = cls.__new__(cls)
        flow.network = network
        return flow

    def fit(self, X: np.ndarray, condition: np.ndarray | None = None, **options: Any) -> History:
        """Train in place by maximum likelihood.

        Args:
            X: data.
            condition: as many rows.
            options: those of `inv.fit`, such as `epochs` and `batch_size`; `validation` may be rows too.

        Returns:
            The history.

        Raises:
            TypeError, ValueError: as `inv.fit`.
        """
        held_out = options.get("validation")
        if isinstance(held_out, (np.ndarray, tuple)):
            X_held_out, C_held_out = held_out if isinstance(held_out, tuple) else (held_out, None)
            options["validation"] = self._images("fit", X_held_out, C_held_out)
        return fit(self.network, *self._images("fit", X, condition), **options)

    def forward(self, X: np.ndarray, C: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """From data to latent.

        Returns:
            `(Z, lgdet)`: latents, and the mean of the log-determinant.

        Raises:
            TypeError, ValueError: unfit arrays.
        """
        Z, *_, lgdet = self.network.forward(*self._images("forward", X, C))
        return self._rows(Z), lgdet

    def inverse(self, Z: np.ndarray, C: np.ndarray | None = None) -> np.ndarray:
        """From latent to data.

        Args:
            Z: latents.
            C: the condition as it is given to `forward`.

        Raises:
            TypeError, ValueError: unfit arrays; ValueError also before the first `forward`.
        """
        network, title = self.network, "VectorFlow.inverse"
        Z, *condition = self._images("inverse", Z, C)
        network.check_initialised(title)
        return self._rows(network.inverse(Z, *(network.condition_for_inverse(array) for array in condition)))

    def log_prob(self, X: np.ndarray, C: np.ndarray | None = None, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density of each row, in nats.

        Args:
            X: data.
            C: condition, for each row or one for all.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`.

        Raises:
            TypeError, ValueError: unfit arrays; ValueError also before the first `forward`.
        """
        return self.network.log_prob(*self._images("log_prob", X, C), batch_size=batch_size)

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
        return self._rows(self.network.sample(n, **self._given("sample", n, C, each), seed=seed, batch_size=batch_size))

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
        given = self._given("sample_and_log_prob", n, C, each)
        X, log_prob = self.network.sample_and_log_prob(n, **given, seed=seed, batch_size=batch_size)
        return self._rows(X), log_prob.T

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
        return f"VectorFlow.of({self.network!r})"

    def _images(self, method: str, X: np.ndarray, C: np.ndarray | None) -> tuple[np.ndarray, ...]:
        """Rows as images of one pixel, without a copy."""
        X = _image(f"VectorFlow.{method}", "X", X, self.network.signature.data)
        return X, *self._condition(method, C)

    def _rows(self, images: np.ndarray) -> np.ndarray:
        """Images of one pixel as rows, without a copy; of samples on two axes `(m, n)`, those of shape `(n, m)`."""
        return images.T.reshape(images.shape[: self.network.signature.data.ndims - 1 : -1])

    def _given(self, method: str, n: int, C: np.ndarray | None, each: bool) -> dict[str, Any]:
        """What the network's `sample` needs to know of the image, or its condition."""
        condition = self._condition(method, C)
        if condition:
            if not each and C is not None and len(C) not in (1, n):
                raise ValueError(
                    f"VectorFlow.{method}: the condition must have one row, or n = {n}, got shape {C.shape}; write "
                    "each=True to draw n samples for each row"
                )
            return {"C": condition[0], "each": each}
        if each:
            raise ValueError(f"VectorFlow.{method}: each=True is for the rows of a condition, and the flow takes none")
        return {"spatial": (1,) * self.network.signature.data.ndims}

    def _condition(self, method: str, C: np.ndarray | None) -> tuple[np.ndarray, ...]:
        if (self.network.signature.condition is not None) != (C is not None):
            needed = "needs a condition too" if C is None else "takes no condition"
            raise ValueError(f"VectorFlow.{method}: {self.network!r} {needed}")
        return (
            () if C is None else (_image(f"VectorFlow.{method}", "the condition", C, self.network.signature.condition),)
        )


def _spread(network: Layer, seed: int | None) -> None:
    """Initial weights for few features. The block of an affine coupling ends in a ReLU: of one feature and no bias half
    of its outputs would be zero on a whole half-line, many of them for good. All are made positive, with kinks here and
    there. That of a spline coupling gives zeros at first, and needs the kinks only."""
    rng = np.random.default_rng(seed)
    for p in get_params(network):
        if p.name.endswith(".RB.W3"):
            p.data[...] = 0.3 * np.abs(p.data)
        elif p.name.endswith(".RB.b1"):
            p.data[...] = rng.uniform(-1, 1, p.data.shape)


def _image(title: str, name: str, rows: Any, space: ArraySpec) -> np.ndarray:
    if not isinstance(rows, np.ndarray):
        raise TypeError(f"{title}: {name} must be a NumPy array, got {type(rows).__name__}")
    if rows.ndim != 2 or rows.shape[1] != space.channels or not len(rows):
        raise ValueError(
            f"{title}: {name} must have shape (n_samples, {space.channels}), a row for each sample, got {rows.shape}"
        )
    return rows.reshape(*rows.shape, *(1,) * space.ndims).T
