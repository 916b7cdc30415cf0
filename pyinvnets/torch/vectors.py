"""A flow on rows as a PyTorch module."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.distributions import constraints

from ..functions.bases import BaseDistribution
from ..vectors import VectorFlow
from ..vectors.features import NODES
from ..vectors.standardisation import Standardisation
from .bounds import TensorBounds
from .module import FlowModule
from .sampling import seed_of_torch
from .tensors import check_type


class VectorModule(nn.Module):
    """A `VectorFlow` as an `nn.Module`: densities and samples of rows, with gradients in the parameters, the rows and
    the condition, which a network of PyTorch's may make.

    Its parameters are the network's own memory, as for `FlowModule`, which computes underneath. Bounds,
    standardisation and base are the flow's.

    Args:
        flow: a flow that was fitted, or initialised with data. It is shared, not copied.

    Attributes:
        flow: the flow.

    Raises:
        TypeError: it is no `VectorFlow`.
        ValueError: it has seen no data, or its network is on a GPU.

    >>> import pyinvnets as inv, torch
    >>> x = torch.randn(600, 3)
    >>> theta = x[:, :2] + 0.1 * torch.randn(600, 2)
    >>> flow = inv.VectorFlow(2, n_cond=3, engine="numpy", seed=1)
    >>> flow.initialise(theta.numpy(), x.numpy())
    >>> module = VectorModule(flow)
    >>> loss = -module.log_prob(theta, x).mean()
    >>> loss.backward()
    >>> module.sample((50,), x[:4]).shape
    torch.Size([50, 4, 2])
    """

    def __init__(self, flow: VectorFlow) -> None:
        if not isinstance(flow, VectorFlow):
            raise TypeError(f"VectorModule: expected a VectorFlow, got {flow!r}")
        if not flow.network.initialised:
            raise ValueError("VectorModule: the flow has seen no data; write flow.initialise(X, condition) before")
        super().__init__()
        self.flow = flow
        self.network = FlowModule(flow.network)

    @property
    def event_shape(self) -> torch.Size:
        """Of a sample."""
        return torch.Size([self.flow.n_features])

    @property
    def condition_shape(self) -> torch.Size | None:
        """Of the condition of a sample."""
        takes = self.flow.network.signature.condition
        return None if takes is None else torch.Size([takes.channels])

    @property
    def support(self) -> constraints.Constraint:
        """Where the density is not zero."""
        return self._bounds.support

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log-density of each row, in nats; minus infinity outside of the bounds.

        Args:
            x: data, shape `(N, n_features)`, of the flow's dtype, on the CPU.
            condition: `(N, n_cond)`, or one row for all.

        Returns:
            Shape `(N,)`.

        Raises:
            TypeError, ValueError, RuntimeError: as `FlowModule.log_prob`.
        """
        return self._in_units_of_data("log_prob", x, condition, self._summed_over_noise)

    def loss(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """What training minimises, of each row: `-log_prob`, or an upper bound of it for a single feature, whose
        density is an integral over the noise beside it. One draw of the noise gives the bound.

        Args, Returns, Raises: as `log_prob`.
        """
        return -self._in_units_of_data("loss", x, condition, self._with_noise)

    def _in_units_of_data(
        self, method: str, x: Tensor, condition: Tensor | None, log_prob: Callable[[Tensor, Tensor | None], Tensor]
    ) -> Tensor:
        """The density of rows as they are given, from that of rows as the network has them."""
        self._check(method, condition, x=x)
        bounds, standardisation, result_dtype = self._bounds, self._standardisation, x.dtype
        kept = torch.ones(len(x), dtype=torch.bool)
        if self.flow.features.bounds:
            kept = bounds.hold(x) | x.isnan().any(1)
            x = torch.where(kept[:, None], x, bounds.bounded(torch.zeros_like(x), x.dtype))
        rows, logdet = bounds.free(x.double())
        if standardisation is not None and condition is not None:
            rows = standardisation.features(rows, condition.double())
            logdet = logdet + self.flow.standardisation.logdet
        result = log_prob(rows.to(result_dtype), self._condition(condition))
        return torch.where(kept, (result + logdet).to(result_dtype), -math.inf)

    def _summed_over_noise(self, rows: Tensor, condition: Tensor | None) -> Tensor:
        if self.flow.n_features > 1:
            return self._network_log_prob(rows, condition)
        nodes = torch.from_numpy(NODES).to(rows.dtype)
        pairs = torch.stack(torch.broadcast_tensors(rows, nodes), -1).flatten(0, 1)
        if condition is not None and len(condition) > 1:
            condition = condition.repeat_interleave(len(nodes), 0)
        each = self._network_log_prob(pairs, condition).view(-1, len(nodes))
        return each.logsumexp(1) + math.log(NODES[1] - NODES[0])

    def _with_noise(self, rows: Tensor, condition: Tensor | None) -> Tensor:
        if self.flow.n_features > 1:
            return self._network_log_prob(rows, condition)
        noise = torch.randn_like(rows)
        log_prob = self._network_log_prob(torch.cat([rows, noise], 1), condition)
        return log_prob + (noise[:, 0] ** 2 + math.log(2 * math.pi)) / 2

    def _network_log_prob(self, rows: Tensor, condition: Tensor | None) -> Tensor:
        given = [self._images(rows)] + ([] if condition is None else [self._images(condition)])
        if self.flow.base is None:
            return self.network.log_prob(*given)
        z, logdet = self.network(*given)
        return _BaseLogProb.apply(self.flow.base, z.flatten(1)) + logdet

    @torch.no_grad()
    def sample(self, sample_shape: int | Sequence[int] = (), condition: Tensor | None = None) -> Tensor:
        """Samples, without gradient; `torch.manual_seed` determines them.

        Args:
            sample_shape: how many, in one axis or several.
            condition: shape `(B, n_cond)`.

        Returns:
            Shape `(*sample_shape, n_features)`; with a condition `(*sample_shape, B, n_features)`, where `[..., i, :]`
            are given condition `i`.

        Raises:
            TypeError, ValueError: an argument is missing, unfit or out of range.
        """
        self._check("sample", condition)
        shape, n = self._sizes(sample_shape)
        given: dict[str, Any] = {} if condition is None else {"C": condition.contiguous().numpy(), "each": True}
        samples = torch.from_numpy(np.ascontiguousarray(self.flow.sample(n, **given, seed=seed_of_torch())))
        return samples.view(*shape, *samples.shape[1:])

    def rsample(self, sample_shape: int | Sequence[int] = (), condition: Tensor | None = None) -> Tensor:
        """Samples with gradients in the parameters and the condition: the inverse of noise.

        Args, Returns, Raises: as `sample`.
        """
        self._check("rsample", condition)
        shape, n = self._sizes(sample_shape)
        base, width = self.flow.base, self.flow.network.signature.data.channels
        rng, turns = np.random.default_rng(seed_of_torch()), 1 if condition is None else len(condition)
        noise = rng.standard_normal((n * turns, width)) if base is None else base.sample(rng, n * turns, width)
        given = [self._images(torch.from_numpy(noise).to(self._dtype))]
        if condition is not None:
            given.append(self._images(self._condition(condition).repeat(n, 1)))
        rows = self.network.inverse(*given).flatten(1)[:, : self.flow.n_features].double()
        rows = rows.view(*shape, *(() if condition is None else (turns,)), -1)
        standardisation = self._standardisation
        if standardisation is not None and condition is not None:
            rows = standardisation.original(rows, condition.double())
        return self._bounds.bounded(rows, self._dtype)

    # Tensors and images of one pixel

    @property
    def _dtype(self) -> torch.dtype:
        return getattr(torch, self.flow.dtype.name)

    @property
    def _bounds(self) -> TensorBounds:
        return TensorBounds(self.flow.features.bounds)

    @property
    def _standardisation(self) -> Standardisation | None:
        """That of the flow, of tensors."""
        found = self.flow.standardisation
        return found and Standardisation(**{name: torch.from_numpy(values) for name, values in vars(found).items()})

    def _condition(self, condition: Tensor | None) -> Tensor | None:
        """As the network has it."""
        standardisation = self._standardisation
        if condition is None or standardisation is None:
            return condition
        return standardisation.condition(condition.double()).to(condition.dtype)

    def _images(self, rows: Tensor) -> Tensor:
        return rows.reshape(*rows.shape, *(1,) * self.flow.network.signature.data.ndims)

    def _sizes(self, sample_shape: int | Sequence[int]) -> tuple[tuple[int, ...], int]:
        """The shape as a tuple, and how many samples that are."""
        shape = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return shape, math.prod(shape)

    def _check(self, method: str, condition: Tensor | None, **rows: Tensor) -> None:
        title, takes = f"VectorModule.{method}", self.condition_shape
        if (takes is None) != (condition is None):
            raise TypeError(f"{title} takes {'no condition' if takes is None else 'a condition too'}")
        widths = {"x": self.flow.n_features, "condition": takes and takes[0]}
        given = rows if condition is None else {**rows, "condition": condition}
        for name, tensor in given.items():
            check_type(title, name, tensor, self._dtype)
            if tensor.ndim != 2 or tensor.shape[1] != widths[name]:
                raise ValueError(f"{title}: {name} must have shape (N, {widths[name]}), got {tuple(tensor.shape)}")
        if len(given) == 2 and len(given["condition"]) not in (1, len(given["x"])):
            raise ValueError(
                f"{title}: x and condition must have as many rows, got {tuple(given['x'].shape)} and "
                f"{tuple(given['condition'].shape)}"
            )

    def __repr__(self) -> str:
        return f"VectorModule({self.flow!r})"


class _BaseLogProb(torch.autograd.Function):
    """The log-density of a base distribution, whose gradient is its score."""

    @staticmethod
    def forward(ctx: Any, base: BaseDistribution, z: Tensor) -> Tensor:
        ctx.base = base
        ctx.save_for_backward(z)
        return torch.from_numpy(base.log_prob(z.detach().numpy())).to(z.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[None, Tensor]:
        (z,) = ctx.saved_tensors
        return None, cotangent[:, None] * torch.from_numpy(ctx.base.score(z.numpy())).to(z.dtype)
