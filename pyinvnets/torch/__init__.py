"""Networks as PyTorch modules, for any PyTorch model, loss and optimiser.

A tensor `(N, C, H, W)` is a network's array `(nx, ny, n_channels, n_samples)` transposed, with W = nx; both are the
same memory. Autograd keeps no activations: `backward` recomputes the states from the outputs by inversion.
"""

try:
    import torch as _  # noqa: F401
except ImportError:
    raise ImportError("pyinvnets.torch needs PyTorch; write pip install 'pyinvnets[torch]'") from None

from .distribution import FlowDistribution
from .module import FlowModule
from .vectors import VectorModule

__all__ = ["FlowDistribution", "FlowModule", "VectorModule"]
