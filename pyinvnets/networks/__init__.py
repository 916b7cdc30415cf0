"""The layers and networks. Each class declares its constructor, the arrays that it takes, and its source."""

from .actnorm import ActNorm
from .affine import AffineLayer
from .blocks import EmbeddingBlock, UNet
from .compose import Sequential
from .conv1x1 import Conv1x1
from .coupling import CouplingLayerBasic
from .flux import FluxBlock
from .glow import ConditionalLayerGlow, CouplingLayerGlow, NetworkConditionalGlow, NetworkGlow
from .hint import (
    ConditionalLayerHINT,
    CouplingLayerHINT,
    NetworkConditionalHINT,
    NetworkMultiScaleConditionalHINT,
    NetworkMultiScaleHINT,
)
from .hyperbolic import HyperbolicLayer, NetworkHyperbolic
from .irim import CouplingLayerIRIM, NetworkLoop
from .jacobian import Jacobian
from .residual import ConditionalResidualBlock, ResidualBlock
from .reverse import reverse
from .spline import CouplingLayerSpline, NetworkConditionalSpline, NetworkSpline
from .summarized import SummarizedNet

__all__ = [
    "ActNorm",
    "AffineLayer",
    "ConditionalLayerGlow",
    "ConditionalLayerHINT",
    "ConditionalResidualBlock",
    "Conv1x1",
    "CouplingLayerBasic",
    "CouplingLayerGlow",
    "CouplingLayerHINT",
    "CouplingLayerIRIM",
    "CouplingLayerSpline",
    "EmbeddingBlock",
    "FluxBlock",
    "HyperbolicLayer",
    "Jacobian",
    "NetworkConditionalGlow",
    "NetworkConditionalHINT",
    "NetworkConditionalSpline",
    "NetworkGlow",
    "NetworkHyperbolic",
    "NetworkLoop",
    "NetworkMultiScaleConditionalHINT",
    "NetworkMultiScaleHINT",
    "NetworkSpline",
    "ResidualBlock",
    "Sequential",
    "SummarizedNet",
    "UNet",
    "reverse",
]
