"""Inverse problems `y = A(x) + noise`: point estimates and posteriors of images, with flows.

The noise is Gaussian and independent. Images `X` have shape `(nx, [ny, [nz,]] n_channels, n_samples)`, as networks take
them. Data have samples on their last axis, or are one vector; see `as_operator` for what the forward operator may be.
"""

from .correction import correct
from .likelihood import GaussianLikelihood
from .map import MAPEstimate, map_estimate
from .operators import Operator, as_operator
from .posterior import Posterior, posterior

__all__ = [
    "GaussianLikelihood",
    "MAPEstimate",
    "Operator",
    "Posterior",
    "as_operator",
    "correct",
    "map_estimate",
    "posterior",
]
