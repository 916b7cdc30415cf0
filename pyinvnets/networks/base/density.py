"""The density of samples, and samples of the density: a network's latent is a standard Gaussian.

`log p(x) = -|z|^2 / 2 - D / 2 log(2 pi) + log|det dz/dx|`, with `z = forward(x)` and `D` the number of elements of a
sample, over all pixels and channels.

Source: Papamakarios et al. (2021), «Normalizing Flows for Probabilistic Modeling and Inference»,
https://arxiv.org/abs/1912.02762.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays.cuda_interface import to_numpy
from ...arrays.latents import Array, from_samples, gaussian, resized
from ...arrays.scalars import is_integer
from ...arrays.stored import StoredArray, as_stored, take
from .network import Network

# Arguments


def count(title: str, name: str, value: Any) -> int:
    if not is_integer(value) or value < 1:
        raise ValueError(f"{title}: {name} must be a positive integer, got {value!r}")
    return int(value)


def generator(title: str, seed: Any) -> np.random.Generator:
    if seed is not None and (not is_integer(seed) or seed < 0):
        raise ValueError(f"{title}: seed must be a non-negative integer or None, got {seed!r}")
    return np.random.default_rng(seed)


def batches(
    title: str, samples: int, batch_size: int | None, share: tuple[int, int] | None = None
) -> tuple[slice, ...]:
    """The samples of one batch after the other; of whole batches, those that are one process's share."""
    size = samples if batch_size is None else count(title, "batch_size", batch_size)
    parts = tuple(slice(start, min(start + size, samples)) for start in range(0, samples, size))
    if share is None:
        return parts
    rank, ranks = _checked_share(title, share)
    return parts[len(parts) * rank // ranks : len(parts) * (rank + 1) // ranks]


def _checked_share(title: str, share: Any) -> tuple[int, int]:
    if not (isinstance(share, tuple) and len(share) == 2 and all(map(is_integer, share)) and 0 <= share[0] < share[1]):
        raise ValueError(
            f"{title}: share must be a process's number from 0 and how many there are, such as (0, 4), got {share!r}"
        )
    return share


def check_number(title: str, name: str, array: Array, n: int) -> None:
    if array.shape[-1] not in (1, n):
        raise ValueError(
            f"{title}: {name} must have one sample, or n = {n}, got shape {array.shape}; write each=True to draw n "
            "samples for each"
        )


def check_tracked(network: Network, title: str) -> None:
    """Raise ValueError where the network has no density."""
    reason = network.signature.no_density
    if reason:
        raise ValueError(f"{title}: {network!r} has no density: {reason}")


def image_size(network: Network, title: str, spatial: tuple[int, ...] | None) -> tuple[int, ...]:
    """The size of the data's images: the one given, the only one there is, or that of the last `forward`."""
    data, images = network.signature.data, network.signature.images
    if spatial is None:
        spatial = data.spatial or (network.spatial and resized(network.spatial, images.channels, data.channels))
    if spatial is None:
        raise ValueError(
            f"{title}: the image size is not known yet; write spatial=, such as spatial=(64, 64), or call forward first"
        )
    if not isinstance(spatial, (tuple, list)) or not all(map(is_integer, spatial)):
        raise TypeError(f"{title}: spatial must be a tuple of integers, such as (64, 64), got {spatial!r}")
    spatial = tuple(map(int, spatial))
    if not data.holds((*spatial, data.channels, 1)):
        raise ValueError(f"{title}: spatial must belong to data of {data.describe()}, got {spatial}")
    return spatial


def data_size(network: Any, title: str, condition: np.ndarray | None) -> tuple[int, ...]:
    """The size of the data's images that belong to a condition, or without one `image_size`."""
    return image_size(network, title, None) if condition is None else network.size_given(condition.shape[:-2])


# Density


def check_logdet(network: Network, title: str) -> None:
    """Raise ValueError where the log-determinant is not known."""
    reason = network.signature.no_logdet
    if reason:
        raise ValueError(f"{title}: {network!r} has no density: {reason}")


def by_each_sample(
    network: Network, title: str, inputs: tuple[Array, ...], *, keeps: bool = False
) -> tuple[Array, ...]:
    """The arrays of `forward`, and the log-determinant of each sample, shape `(n_samples,)`, float64. `keeps` says
    whether states are kept for `backward`."""
    if network.signature.keeps_volume:
        outputs = network.propagate("forward", title, inputs)
        return *(z for z in outputs if not isinstance(z, float)), network.place(np.zeros(inputs[0].shape[-1]))
    return network.propagate("forward_by_sample", title, inputs, keeps=keeps)


Propagate = Callable[[tuple[Array, ...]], tuple[tuple[Array, ...], Array]]
"""From inputs to the latents that count, and the log-determinant of each sample."""


def log_prob(
    network: Network,
    title: str,
    arrays: tuple[Array, ...],
    batch_size: int | None,
    propagate: Propagate | None = None,
) -> Array:
    """The log-density of data, and perhaps a condition of as many samples or of one, all checked."""

    def all_latents(inputs: tuple[Array, ...]) -> tuple[tuple[Array, ...], Array]:
        *outputs, logdets = by_each_sample(network, title, inputs)
        return tuple(outputs[: len(network.signature.latents)]), logdets

    samples = arrays[0].shape[-1]
    result = _room(network, (samples,))
    for part in batches(title, samples, batch_size):
        latents, logdets = (propagate or all_latents)(tuple(part_of(array, part, samples) for array in arrays))
        result[..., part] = logdets + gaussian(latents, logdets.size, network.signature.splits)
    return result


def in_blocks(
    network: Network, evaluate: Callable[..., Array], arrays: tuple[Any, ...], batch_size: int | None
) -> np.ndarray:
    """`evaluate` of arrays of which some are outside memory, block after block of them."""
    arrays = tuple(map(as_stored, arrays))
    n, step = arrays[0].shape[-1], max(array.block for array in arrays if isinstance(array, StoredArray))
    result = np.empty(n, network.dtype)
    for first in range(0, n, step):
        numbers = np.arange(first, min(first + step, n))
        parts = (take(array, numbers if array.shape[-1] == n else np.zeros(1, np.int64)) for array in arrays)
        values = evaluate(*(network.place(_as_floats(part, network.dtype)) for part in parts), batch_size=batch_size)
        result[numbers] = to_numpy(values)
    return result


def _as_floats(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return array.astype(dtype, copy=False) if array.dtype.kind == "f" else array


def part_of(array: Array, part: slice, samples: int) -> Array:
    """These samples of an array; the only one, as often, where it has one for all."""
    if array.shape[-1] == samples:
        return array[..., part]
    count = part.stop - part.start
    if not isinstance(array, np.ndarray):
        return array.repeated(count)
    return np.asfortranarray(np.repeat(array, count, axis=-1))


def in_turn(network: Network, array: Array, part: slice) -> Array:
    """These of the samples that are given an array's ones in turn, again and again."""
    m = array.shape[-1]
    if m == 1:
        return part_of(array, part, 0)
    chosen = to_numpy(array)[..., np.arange(part.start, part.stop) % m]
    return network.place(np.asfortranarray(chosen))


def of_each_condition(network: Network, samples: Array, m: int) -> Array:
    """Samples on two axes, `(m, n)`, that are on one in the order of `in_turn`."""
    shape = (*samples.shape[:-1], m, samples.shape[-1] // m)
    return network.place(to_numpy(samples).reshape(shape, order="F"))


def for_each(array: Array, samples: int) -> Array:
    """What has the shape of an array of so many samples, which is all that is checked."""
    return np.broadcast_to(np.float32(0), (*array.shape[:-1], samples)) if array.shape[-1] == 1 else array


def _room(network: Network, shape: tuple[int, ...]) -> Array:
    return network.place(np.empty(shape, network.dtype, order="F"))


# Samples


def sample(
    network: Network,
    title: str,
    n: int,
    spatial: tuple[int, ...] | None,
    seed: int | None,
    batch_size: int | None,
    share: tuple[int, int] | None = None,
) -> tuple[Array, ...]:
    """Data for Gaussian latents, where nothing but the image size is needed."""
    signature = network.signature
    if signature.data.vector:
        raise ValueError(f"{title}: {network!r} takes flat vectors, which have no image size to draw samples of")
    n, rng = count(title, "n", n), generator(title, seed)
    parts = batches(title, n, batch_size, share)
    network.check_initialised(title)
    size = image_size(network, title, spatial)
    network.spatial = resized(size, signature.data.channels, signature.images.channels)
    return inverted(network, title, size, rng, parts, len(signature.inputs))


def inverted(
    network: Network,
    title: str,
    spatial: tuple[int, ...],
    rng: np.random.Generator,
    parts: tuple[slice, ...],
    drawn: int,
    given: Callable[[slice], tuple[Array, ...]] = lambda part: (),
) -> tuple[Array, ...]:
    """Data of the first `drawn` latents, drawn sample by sample, so that a seed gives the same samples in batches of
    any size; `given` is what `inverse` takes besides."""
    shape = (*spatial, network.signature.data.channels)
    first, last = (parts[0].start, parts[-1].stop) if parts else (0, 0)
    for _ in range(first):  # the shares of others
        rng.standard_normal((drawn, math.prod(shape)))
    results = tuple(_room(network, (*shape, last - first)) for _ in range(drawn))
    for part in parts:
        samples = part.stop - part.start
        noise = rng.standard_normal((samples, drawn, math.prod(shape))).astype(network.dtype, copy=False)
        latents = tuple(latent(network, noise[:, i].T, spatial, samples) for i in range(drawn))
        arrays = network.propagate("inverse", title, (*latents, *given(part)))
        for result, array in zip(results, arrays[:drawn], strict=True):
            result[..., part.start - first : part.stop - first] = array
    return results


def latent(network: Network, elements: np.ndarray, spatial: tuple[int, ...], samples: int) -> Array:
    """A latent where the network is, from the elements of each sample."""
    signature = network.signature
    array, spec = from_samples(elements, signature.splits), signature.latent
    if not spec.vector:
        size = resized(spatial, signature.data.channels, spec.channels)
        array = array.reshape((*size, spec.channels, samples), order="F")
    return network.place(array)
