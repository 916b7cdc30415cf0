"""Samples of a flow as tensors, with and without gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays.latents import resized
from ..networks.base import density
from ..networks.base.layer import Layer
from .graphs import outside_graphs
from .propagation import arrays_of, data_of, propagated
from .tensors import array, check_shapes, check_type, tensor


class Sampling:
    """What `FlowModule` draws."""

    network: Layer
    _conditional: bool
    _waiting: bool
    _backwards: Any
    _dtype: torch.dtype
    _initialise: Any
    _own: Any
    _title: str

    @outside_graphs
    @torch.no_grad()
    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        condition: Tensor | None = None,
        *,
        spatial: tuple[int, ...] | None = None,
    ) -> Any:
        """Samples, without gradient; `torch.manual_seed` determines them.

        Args:
            sample_shape: how many, in one axis or several.
            condition: of a conditional network, shape `(B, C, H, W)`.
            spatial: image size `(H, W)`, by default that of the last batch; a condition has its own.

        Returns:
            Shape `(*sample_shape, C, H, W)`; with a condition `(*sample_shape, B, C, H, W)`, where `[..., i, :, :, :]`
            are given condition `i`. Of a network with two lanes, `(x, y)`.

        Raises:
            TypeError, ValueError: an argument is missing, unfit or out of range, the image size is not known, or
                ActNorm was never initialised.
        """
        shape = self._sample_shape("sample", sample_shape, condition, spatial)
        n, network = math.prod(shape), self.network
        self._own()
        options = {"seed": seed_of_torch()}
        if condition is None:
            results = network.sample(n, spatial=None if spatial is None else tuple(spatial)[::-1], **options)
        else:
            results = network.sample(n // len(condition), array(condition.contiguous()), each=True, **options)
        results = results if isinstance(results, tuple) else (results,)
        axes = 1 if condition is None else 2
        samples = [tensor(X).view(*shape, *X.shape[:-axes][::-1]) for X in results]
        return samples[0] if len(samples) == 1 else tuple(samples)

    @outside_graphs
    def rsample(
        self,
        sample_shape: int | Sequence[int] = (),
        condition: Tensor | None = None,
        *,
        spatial: tuple[int, ...] | None = None,
    ) -> Any:
        """Samples with gradients in the parameters and the condition: the inverse of Gaussian noise. With one
        `torch.manual_seed` they are those of `sample`.

        Where ActNorm was never initialised, these samples set it, so that after each ActNorm they have zero mean and
        unit variance in every channel.

        Args, Returns: as `sample`.

        Raises:
            TypeError, ValueError: as `sample`; ValueError also where ActNorm cannot be initialised from so few samples.
        """
        samples, _ = self._reparametrised("rsample", sample_shape, condition, spatial)
        return samples[0] if len(samples) == 1 else tuple(samples)

    @outside_graphs
    def rsample_and_log_prob(
        self,
        sample_shape: int | Sequence[int] = (),
        condition: Tensor | None = None,
        *,
        spatial: tuple[int, ...] | None = None,
    ) -> tuple[Tensor, ...]:
        """`x = rsample(...)`, and the log-density of each sample, from the same pass: what reverse KL is made of.

        Returns:
            `(x, log_prob)`, or `(x, y, log_prob)`: `log_prob` has shape `sample_shape`, with a condition
            `(*sample_shape, B)`.

        Raises:
            TypeError, ValueError: as `rsample`; ValueError also where the network keeps no log-determinant.
        """
        density.check_tracked(self.network, f"{self._title}.rsample_and_log_prob")
        samples, log_prob = self._reparametrised("rsample_and_log_prob", sample_shape, condition, spatial)
        return (*samples, log_prob)

    def _reparametrised(
        self,
        method: str,
        sample_shape: int | Sequence[int],
        condition: Tensor | None,
        spatial: tuple[int, ...] | None,
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """The samples, and their log-densities, without the log-determinant where that is not known."""
        shape = self._sample_shape(method, sample_shape, condition, spatial)
        network, backwards, own = self.network, self._backwards, self._own()
        data, title = network.signature.data, f"{self._title}.{method}"
        n = density.count(title, "sample_shape", math.prod(shape))
        if condition is None:
            size = density.image_size(network, title, spatial and tuple(spatial)[::-1])
            network.spatial = resized(size, data.channels, network.signature.images.channels)
        else:
            size = network.size_given(tuple(condition.shape[:1:-1]))
        lanes = len(network.signature.inputs)
        noise = np.random.default_rng(seed_of_torch()).standard_normal((n, lanes, data.channels * math.prod(size)))
        rows = torch.from_numpy(noise.astype(network.dtype, copy=False))
        inputs = [self._latent(rows[:, i], size) for i in range(lanes)]
        if condition is not None:
            inputs.append(condition.repeat(n // len(condition), *(1,) * (condition.ndim - 1)))
        if self._waiting:
            self._initialise(backwards, arrays_of(backwards, size, inputs))
            own = self._own()
        results = propagated(backwards, size, inputs, own)
        log_prob = -(rows * rows).sum((1, 2)) / 2 - rows[0].numel() * math.log(2 * math.pi) / 2
        for logdet in results[lanes:]:
            log_prob = log_prob - logdet
        return tuple(x.view(*shape, *x.shape[1:]) for x in results[:lanes]), log_prob.view(shape)

    def _latent(self, rows: Tensor, size: tuple[int, ...]) -> Tensor:
        """The latents, as `inverse` takes them, that have these elements in each row."""
        space = self.network.signature.latent
        if data_of(self._backwards).is_rows:
            return rows.contiguous()
        of_latent = resized(size, self.network.signature.data.channels, space.channels)
        return rows.reshape(len(rows), space.channels, *of_latent[::-1])

    def _sample_shape(
        self,
        method: str,
        sample_shape: int | Sequence[int],
        condition: Tensor | None,
        spatial: tuple[int, ...] | None,
    ) -> tuple[int, ...]:
        """Of the samples, with an axis for several conditions."""
        shape = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        if self._conditional != (condition is not None) or (self._conditional and spatial is not None):
            takes = "a condition, which has the image size" if self._conditional else "no condition"
            raise TypeError(f"{self._title}.{method} takes {takes}")
        if condition is None:
            return shape
        check_type(f"{self._title}.{method}", "condition", condition, self._dtype)
        check_shapes(f"{self._title}.{method}", {"condition": condition}, [self.network.signature.condition])
        return (*shape, len(condition))


def seed_of_torch() -> int:
    return int(torch.randint(2**63 - 1, ()))
