"""A flow as one of PyTorch's distributions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ..networks.base.density import check_tracked, image_size
from ..networks.base.layer import Layer
from .module import FlowModule
from .vectors import VectorModule

_TITLE = "FlowDistribution"


class FlowDistribution(Distribution):
    """A flow as a `torch.distributions.Distribution`, for whatever takes one. Samples, `rsample`, and densities have
    gradients in the flow's parameters and in the condition.

    Args:
        flow: a `FlowModule` of a network with one lane, with or without a condition, or a `VectorModule`.
        condition: of a conditional flow, shape `(*batch_shape, *shape of one condition)`: `(*batch_shape, n_cond)`
            where the flow is over rows, `(*batch_shape, C, H, W)` where it is over images.
        spatial: image size `(H, W)` of a `FlowModule` without a condition, by default that of the last batch.
        validate_args: whether `log_prob` checks its argument, as for every distribution.

    Attributes:
        batch_shape: that of the condition; `()` without one.
        event_shape: `(n_features,)`, or `(C, H, W)`.

    Raises:
        TypeError: no such flow, or a condition is missing or not taken.
        ValueError: an unfit condition, or an image size that is not known.

    >>> import pyinvnets as inv, torch
    >>> flow = inv.VectorFlow(2, engine="numpy", seed=1)
    >>> flow.initialise(inv.sample_banana(500, seed=1, engine="numpy").T.reshape(500, 2))
    >>> banana = FlowDistribution(VectorModule(flow))
    >>> x = banana.rsample((100,))
    >>> banana.log_prob(x).shape, banana.expand((3,)).sample().shape
    (torch.Size([100]), torch.Size([3, 2]))
    """

    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012, as PyTorch has it

    def __init__(
        self,
        flow: FlowModule | VectorModule,
        condition: Tensor | None = None,
        *,
        spatial: Sequence[int] | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if isinstance(flow, VectorModule):
            event = flow.event_shape
        elif isinstance(flow, FlowModule) and len(flow.network.signature.inputs) == 1:
            event = _image_shape(flow.network, condition, spatial)
        else:
            raise TypeError(f"{_TITLE}: expected a VectorModule, or a FlowModule with one lane, got {flow!r}")
        network = flow.flow.network if isinstance(flow, VectorModule) else flow.network
        if (network.signature.condition is None) != (condition is None):
            needed = "needs a condition too" if condition is None else "takes no condition"
            raise TypeError(f"{_TITLE}: {flow!r} {needed}")
        check_tracked(network, _TITLE)
        self.flow, self.condition = flow, condition
        batch = torch.Size() if condition is None else condition.shape[: condition.ndim - len(event)]
        super().__init__(batch, event, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Where the density is not zero."""
        if isinstance(self.flow, VectorModule):
            return self.flow.support
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> FlowDistribution:
        new = self._get_checked_instance(FlowDistribution, _instance)
        batch_shape = torch.Size(batch_shape)
        new.flow, new.condition = self.flow, self.condition
        if self.condition is not None:
            new.condition = self.condition.expand(batch_shape + self._shape_of_condition)
        super(FlowDistribution, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._drawn(self.flow.rsample, sample_shape)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._drawn(self.flow.sample, sample_shape)

    def _drawn(self, draw: Callable[..., Tensor], sample_shape: Sequence[int]) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        if self.condition is not None:
            return draw(tuple(sample_shape), self._conditions(self.condition)).reshape(shape)
        size = {"spatial": tuple(self.event_shape[1:])} if isinstance(self.flow, FlowModule) else {}
        return draw(tuple(shape[: len(shape) - len(self.event_shape)]), **size)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        shape = torch.broadcast_shapes(value.shape[: value.ndim - len(self.event_shape)], self.batch_shape)
        given = [value.expand(shape + self.event_shape).reshape(-1, *self.event_shape)]
        if self.condition is not None:
            given.append(self._conditions(self.condition.expand(shape + self._shape_of_condition)))
        return self.flow.log_prob(*given).view(shape)

    @property
    def _shape_of_condition(self) -> torch.Size:
        return self.condition.shape[self.condition.ndim - len(self.event_shape) :]

    def _conditions(self, condition: Tensor) -> Tensor:
        """On one axis."""
        return condition.reshape(-1, *self._shape_of_condition)


def _image_shape(network: Layer, condition: Tensor | None, spatial: Sequence[int] | None) -> torch.Size:
    data = network.signature.data
    if condition is None:
        size = image_size(network, _TITLE, spatial and tuple(spatial)[::-1])[::-1]
    else:
        size = condition.shape[condition.ndim - data.ndims :]
    return torch.Size([data.channels, *size])
