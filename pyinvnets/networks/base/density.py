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

from ...arrays.latents import Array, _gaussian, from_samples, resized
from ...engines.julia.device_array import DeviceArray

if TYPE_CHECKING:
    from .layer import Invertible


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
