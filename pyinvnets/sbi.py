"""Flows as density estimators of the package sbi, for neural posterior estimation.

    from sbi.inference import NPE
    from pyinvnets.sbi import posterior_flow

    inference = NPE(prior, density_estimator=posterior_flow(coupling="spline"))

It needs sbi: `pip install 'pyinvnets[sbi]'`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .functions.bases import BaseDistribution
from .torch import VectorModule
from .vectors import VectorFlow

try:
    from sbi.neural_nets.estimators import ConditionalDensityEstimator
    from sbi.utils import standardizing_net
except ImportError:
    raise ImportError("pyinvnets.sbi needs sbi; write pip install 'pyinvnets[sbi]'") from None


class FlowEstimator(ConditionalDensityEstimator):
    """A `VectorFlow` as sbi's `ConditionalDensityEstimator`: the density of parameters given observations.

    Args:
        module: the flow, with a condition.
        embedding_net: makes its condition of an observation.
        condition_shape: of an observation.
    """

    def __init__(self, module: VectorModule, embedding_net: nn.Module, condition_shape: torch.Size) -> None:
        super().__init__(module, module.event_shape, condition_shape)
        self._embedding_net = embedding_net

    @property
    def embedding_net(self) -> nn.Module:
        return self._embedding_net

    def loss(self, input: Tensor, condition: Tensor, **unused: Any) -> Tensor:
        """See `VectorModule.loss`; both arguments have a row for each sample."""
        return self.net.loss(input, self._embedding_net(condition))

    def log_prob(self, input: Tensor, condition: Tensor, **unused: Any) -> Tensor:
        """Log-density in nats.

        Args:
            input: parameters, shape `(S, B, n_features)`, or `(B, n_features)` for one sample of each.
            condition: observations, shape `(B, *condition_shape)` or `(S, B, *condition_shape)`. Where one of the two
                has a single row, it is for all of the other.

        Returns:
            Shape `(S, B)`.
        """
        embedded = self._embedded(condition)
        input = input if input.ndim > 2 else input[None]
        shape = torch.broadcast_shapes(input.shape[:-1], embedded.shape[:-1])  # type: ignore[no-untyped-call]
        rows = (each.expand(*shape, each.shape[-1]).flatten(0, -2) for each in (input, embedded))
        return self.net.log_prob(*rows).view(shape)

    def sample(self, sample_shape: Sequence[int], condition: Tensor, **unused: Any) -> Tensor:
        """Samples of shape `(*sample_shape, B, n_features)`, given observations `(B, *condition_shape)`."""
        return self.net.sample(tuple(sample_shape), self._embedded(condition).flatten(0, -2))

    def _embedded(self, condition: Tensor) -> Tensor:
        """Of any number of axes before that of one observation."""
        self._check_condition_shape(condition)
        batch = condition.shape[: condition.ndim - len(self.condition_shape)]
        return self._embedding_net(condition.reshape(-1, *self.condition_shape)).view(*batch, -1)


def posterior_flow(
    *,
    coupling: str = "spline",
    n_hidden: int = 32,
    K: int = 8,
    bounds: Any = None,
    base: BaseDistribution | None = None,
    embedding_net: nn.Module | None = None,
    engine: str | None = None,
    seed: int | None = None,
) -> Callable[[Tensor, Tensor], FlowEstimator]:
    """What `NPE(prior, density_estimator=...)` takes, as sbi's `posterior_nn` makes it.

    Parameters and observations are standardised by the first simulations, and what of the parameters is linear in the
    observation is taken out, as `VectorFlow` does.

    Sequential inference by atomic proposals (`NPE_C` with `proposal=`) is slow: its loss has another weight for each
    sample, and the gradient takes a pass for each. Truncated proposals, which keep the loss of the first round, are
    not.

    Args:
        coupling, n_hidden, K, base, engine: see `VectorFlow`.
        bounds: of the parameters, such as `(0, 1)` for all or a pair for each; see `VectorFlow`. Those of a prior
            that is uniform on a box keep all samples within it.
        embedding_net: makes the flow's condition, a row, of an observation of any shape, and is trained with it. It has
            standardised observations: each element by itself, or together where an observation has several axes.
        seed: of the initial weights; by default `torch.manual_seed` determines them.

    Raises:
        ValueError: when the simulations come, where arguments do not fit them.

    Source: Papamakarios and Murray (2016), «Fast ε-free inference of simulation models with Bayesian conditional
    density estimation», https://arxiv.org/abs/1605.06376.
    """

    def build(theta: Tensor, x: Tensor) -> FlowEstimator:
        if embedding_net is None and x.ndim != 2:
            raise ValueError(
                f"posterior_flow: x of shape {tuple(x.shape)} needs an embedding_net, which makes a row of each"
            )
        embed: nn.Module = nn.Identity()
        if embedding_net is not None:
            embed = nn.Sequential(standardizing_net(x, structured_dims=x.ndim > 2), embedding_net)
        first = slice(_FIRST)
        with torch.no_grad():
            condition = embed(x[first])
        if condition.ndim != 2:
            raise ValueError(
                f"posterior_flow: embedding_net must give rows of shape (N, n_cond), got {tuple(condition.shape)}"
            )
        flow = VectorFlow(
            theta.shape[1],
            n_cond=condition.shape[1],
            n_hidden=n_hidden,
            K=K,
            coupling=coupling,
            bounds=bounds,
            base=base,
            engine=engine,
            seed=int(torch.randint(2**31, ())) if seed is None else seed,
        ).astype(theta.numpy().dtype)
        flow.initialise(theta[first].numpy(), condition.numpy())
        return FlowEstimator(VectorModule(flow), embed, x.shape[1:])

    return build


_FIRST = 10_000
"""How many simulations the standardisation is found from."""
