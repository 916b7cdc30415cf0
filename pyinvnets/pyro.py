"""Flows in Pyro's models and guides.

    from pyinvnets.pyro import FlowDistribution

It needs Pyro: `pip install 'pyinvnets[pyro]'`.
"""

from __future__ import annotations

from .torch import FlowDistribution as TorchFlowDistribution

try:
    from pyro.distributions.torch_distribution import TorchDistributionMixin
except ImportError:
    raise ImportError("pyinvnets.pyro needs Pyro; write pip install 'pyinvnets[pyro]'") from None


class FlowDistribution(TorchFlowDistribution, TorchDistributionMixin):
    """`pyinvnets.torch.FlowDistribution` for `pyro.sample`. `pyro.module("flow", flow)` makes the flow's parameters
    Pyro's, so that inference trains them.

    >>> import pyinvnets as inv, pyro, torch
    >>> from pyinvnets.torch import FlowModule
    >>> flow = FlowModule(inv.NetworkGlow(2, 8, 1, 2, engine="numpy", seed=1))
    >>> _ = flow(torch.randn(100, 2, 1, 1))
    >>> with pyro.plate("images", 4):
    ...     x = pyro.sample("x", FlowDistribution(flow))
    >>> x.shape
    torch.Size([4, 2, 1, 1])
    """
