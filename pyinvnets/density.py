"""The density of samples, and samples of the density: a network's latent is a standard Gaussian.

`log p(x) = -|z|^2 / 2 - D / 2 log(2 pi) + log|det dz/dx|`, with `z = forward(x)` and `D` the number of elements of a
sample, over all pixels and channels.

Source: Papamakarios et al. (2021), «Normalizing Flows for Probabilistic Modeling and Inference»,
https://arxiv.org/abs/1912.02762.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np

from .devices import DeviceArray, cpu

if TYPE_CHECKING:
    from .invertible import Invertible

Array = np.ndarray | DeviceArray

# The elements of each sample


def part_sizes(size: int, splits: int) -> list[int]:
    """How many of the `size` elements of a sample leave after each split, which halves what is there, and the rest."""
    return [*(size >> i for i in range(1, splits + 1)), size >> splits]


def by_sample(latent: np.ndarray, samples: int, splits: int) -> np.ndarray:
    """A latent's elements, shape `(elements, n_samples)`; after splits it holds part after part, of all samples."""
    flat = latent.reshape(-1, order="F")
    sizes = part_sizes(flat.size // samples, splits)
    ends = np.cumsum(sizes)[:-1] * samples
    parts = np.split(flat, ends)
    return np.concatenate([part.reshape(-1, samples, order="F") for part in parts])


def from_samples(elements: np.ndarray, splits: int) -> np.ndarray:
    """The inverse of `by_sample`, as a flat vector."""
    ends = np.cumsum(part_sizes(len(elements), splits))[:-1]
    return np.concatenate([part.reshape(-1, order="F") for part in np.split(elements, ends)])


def resized(spatial: tuple[int, ...], before: int, after: int) -> tuple[int, ...]:
    """The size of images whose `before` channels have become `after`, as squeezes make them: axes halve or double."""
    halvings = round(math.log2(after / before) / len(spatial))
    return tuple(n >> halvings if halvings >= 0 else n << -halvings for n in spatial)


# Arguments


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _count(title: str, name: str, value: Any) -> int:
    if not _is_integer(value) or value < 1:
        raise ValueError(f"{title}: {name} must be a positive integer, got {value!r}")
    return int(value)


def _generator(title: str, seed: Any) -> np.random.Generator:
    if seed is not None and (not _is_integer(seed) or seed < 0):
        raise ValueError(f"{title}: seed must be a non-negative integer or None, got {seed!r}")
    return np.random.default_rng(seed)


def _batches(title: str, samples: int, batch_size: int | None) -> Iterator[slice]:
    size = samples if batch_size is None else _count(title, "batch_size", batch_size)
    return (slice(start, min(start + size, samples)) for start in range(0, samples, size))


def _check_number(title: str, name: str, array: np.ndarray, n: int) -> None:
    if array.shape[-1] not in (1, n):
        raise ValueError(f"{title}: {name} must have one sample, or n = {n}, got shape {array.shape}")


def _check_tracked(network: Invertible, title: str) -> None:
    reason = network._no_density
    if reason:
        raise ValueError(f"{title}: {network!r} has no density: {reason}")


def _image_size(network: Invertible, title: str, spatial: tuple[int, ...] | None) -> tuple[int, ...]:
    """The size of the data's images: the one given, the only one there is, or that of the last `forward`."""
    data = network._data
    if spatial is None:
        spatial = data.spatial or (network.spatial and resized(network.spatial, network._image.channels, data.channels))
    if spatial is None:
        raise ValueError(
            f"{title}: the image size is not known yet; write spatial=, such as spatial=(64, 64), or call forward first"
        )
    if not isinstance(spatial, (tuple, list)) or not all(map(_is_integer, spatial)):
        raise TypeError(f"{title}: spatial must be a tuple of integers, such as (64, 64), got {spatial!r}")
    spatial = tuple(map(int, spatial))
    if not data.holds((*spatial, data.channels, 1)):
        raise ValueError(f"{title}: spatial must belong to data of {data.describe()}, got {spatial}")
    return spatial


# The arithmetic


def _all_lanes(network: Invertible, title: str, inputs: tuple[Array, ...]) -> tuple[list[Array], Array]:
    *outputs, terms = network._forward_by_sample(title, inputs)
    return outputs[: network._lanes], terms


def _x_given_y(network: Invertible, title: str, inputs: tuple[Array, ...]) -> tuple[list[Array], Array]:
    Zx, _, terms = network._forward_by_sample(title, inputs)
    _, terms_of_Y = network._call("forward_Y_by_sample", title, inputs[1:])
    return [Zx], terms - terms_of_Y


def _log_prob(
    network: Invertible,
    title: str,
    arrays: tuple[Array, ...],
    batch_size: int | None,
    propagate: Callable[[Invertible, str, tuple[Array, ...]], tuple[list[Array], Array]] = _all_lanes,
) -> Array:
    """Of data, and perhaps a condition of as many samples or of one, all checked, from the latents and each sample's
    log-determinant that `propagate` gives."""
    samples = arrays[0].shape[-1]
    result = _room(network, (samples,))
    for part in _batches(title, samples, batch_size):
        inputs = tuple(_part(array, part, samples) for array in arrays)
        latents, terms = propagate(network, title, inputs)
        result[..., part] = terms + _gaussian(latents, terms.size, network._splits)
    return result


def _part(array: np.ndarray, part: slice, samples: int) -> np.ndarray:
    if array.shape[-1] == samples:
        return array[..., part]
    count = part.stop - part.start
    if isinstance(array, DeviceArray):
        return array.repeated(count)
    return np.asfortranarray(np.repeat(array, count, axis=-1))


def _room(network: Invertible, shape: tuple[int, ...]) -> Array:
    return network._placed(np.empty(shape, network.dtype, order="F"))


def _gaussian(latents: list[Array], samples: int, splits: int) -> Array:
    """Log-density of the standard Gaussian at each sample."""
    return sum(
        -_half_squares(latent, samples, splits) - latent.size // samples * math.log(2 * math.pi) / 2
        for latent in latents
    )


def _half_squares(latent: Array, samples: int, splits: int) -> Array:
    if isinstance(latent, DeviceArray):
        return latent.half_squares(samples, splits)
    elements = by_sample(latent, samples, splits).astype(np.float64, copy=False)
    return np.einsum("ij,ij->j", elements, elements) / 2


def _sample(
    network: Invertible,
    title: str,
    n: int,
    spatial: tuple[int, ...],
    rng: np.random.Generator,
    parts: Iterator[slice],
    lanes: int,
    condition: Callable[[slice], tuple[np.ndarray, ...]] = lambda part: (),
) -> tuple[np.ndarray, ...]:
    """Data of the first `lanes` for latents drawn sample by sample, so that a seed gives the same samples in batches of
    any size."""
    data = (*spatial, network._data.channels)
    results = tuple(_room(network, (*data, n)) for _ in range(lanes))
    for part in parts:
        samples = part.stop - part.start
        numbers = rng.standard_normal((samples, lanes, math.prod(data))).astype(network.dtype, copy=False)
        latents = tuple(_latent(network, numbers[:, lane].T, spatial, samples) for lane in range(lanes))
        inverted = network._call("inverse", title, (*latents, *condition(part)))
        for result, array in zip(results, inverted[:lanes], strict=True):
            result[..., part] = array
    return results


def _latent(network: Invertible, elements: np.ndarray, spatial: tuple[int, ...], samples: int) -> Array:
    """Where the network is, from the elements of each sample."""
    latent, space = from_samples(elements, network._splits), network._latent
    if not space.vector:
        size = resized(spatial, network._data.channels, space.channels)
        latent = latent.reshape((*size, space.channels, samples), order="F")
    return network._placed(latent)


# The public methods


class Density:
    """Samples and their density where nothing but the image size is needed."""

    def _density(self, title: str, arrays: dict[str, np.ndarray], batch_size: int | None) -> np.ndarray:
        _check_tracked(self, title)
        return _log_prob(self, title, self._checked(title, (self._data,) * len(arrays), arrays), batch_size)

    def _samples(
        self, title: str, n: int, spatial: tuple[int, ...] | None, seed: int | None, batch_size: int | None
    ) -> tuple[np.ndarray, ...]:
        if self._data.vector:
            raise ValueError(f"{title}: {self!r} takes flat vectors, which have no image size to draw samples of")
        n, rng = _count(title, "n", n), _generator(title, seed)
        parts = _batches(title, n, batch_size)
        self._check_initialised(title)
        size = _image_size(self, title, spatial)
        self.spatial = resized(size, self._data.channels, self._image.channels)
        return _sample(self, title, n, size, rng, parts, self._lanes)

    def _samples_and_density(
        self, n: int, spatial: tuple[int, ...] | None, seed: int | None, batch_size: int | None
    ) -> tuple[np.ndarray, ...]:
        title = f"{self._title}.sample_and_log_prob"
        _check_tracked(self, title)
        arrays = self._samples(title, n, spatial, seed, batch_size)
        return *arrays, _log_prob(self, title, arrays, batch_size)


class OneLaneDensity(Density):
    """The density of a network with one input and one output."""

    def log_prob(self, X: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        """Log-density of each sample, in nats, the Gaussian's constant included.

        Its mean is `-|z|^2 / 2 - D / 2 log(2 pi) + lgdet` over the batch. A layer that keeps volumes (`Conv1x1`,
        `CouplingLayerIRIM`) has the log-determinant zero.

        Args:
            X: data as `forward` takes it.
            batch_size: how many samples go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(n_samples,)`, of the network's dtype; the sums are taken in 64 bits.

        Raises:
            TypeError: X is not an array of the network's dtype.
            ValueError: X has the wrong shape, the network keeps no log-determinant (`logdet=False`), or ActNorm was
                never initialised.
        """
        return self._density(f"{self._title}.log_prob", {"X": X}, batch_size)

    def sample(
        self,
        n: int,
        *,
        spatial: tuple[int, ...] | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Samples: `inverse` of Gaussian noise.

        Args:
            n: how many.
            spatial: image size `(nx, ny)`, by default that of the last `forward`; it is remembered as `G.spatial`.
            seed: the same seed gives the same samples, on either engine and whatever the `batch_size`.
            batch_size: how many go through at once, which bounds memory; all where it is `None`.

        Returns:
            Shape `(*spatial, n_channels, n)`, of the network's dtype.

        Raises:
            TypeError: spatial is no tuple of integers.
            ValueError: an argument is out of range, the image size is not known, or ActNorm was never initialised.
        """
        return self._samples(f"{self._title}.sample", n, spatial, seed, batch_size)[0]

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
        return self._samples_and_density(n, spatial, seed, batch_size)


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


class NoDensity:
    """What has no inverse, or no log-determinant: `_no_density` says why."""

    _no_density: ClassVar[str]

    def _refuse(self, method: str) -> NoReturn:
        raise TypeError(f"{self._title}.{method}: it has no density: {self._no_density}")

    def log_prob(self, *arrays: np.ndarray, **options: Any) -> NoReturn:
        """Raises TypeError: there is no density."""
        self._refuse("log_prob")

    def sample(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raises TypeError: there is no density."""
        self._refuse("sample")

    def sample_and_log_prob(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raises TypeError: there is no density."""
        self._refuse("sample_and_log_prob")
