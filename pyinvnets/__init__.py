"""Invertible neural networks and normalising flows of InvertibleNetworks.jl, in Python.

Importing this starts no Julia; the Julia engine starts at its first use.
"""

from .activations import (
    ExpClampLayer,
    GaLUlayer,
    HaarLayer,
    LeakyReLUlayer,
    ReLUlayer,
    ShuffleLayer,
    Sigmoid2Layer,
    SigmoidLayer,
    WaveletLayer,
)
from .bson import load_bson
from .composite import Sequential, SummarizedNet
from .devices import DeviceArray, cpu, gpu, gpu_available
from .engines import use_engine
from .engines.julia import JuliaError, init
from .flux import FluxBlock
from .functions import (
    Haar_squeeze,
    grad_log_likelihood,
    grad_mse,
    invHaar_unsqueeze,
    log_likelihood,
    mse,
    sample_banana,
    sample_swirl,
    squeeze,
    tensor_cat,
    tensor_split,
    unsqueeze,
    wavelet_squeeze,
    wavelet_unsqueeze,
)
from .history import History
from .jacobians import Jacobian
from .layers import (
    ActNorm,
    AffineLayer,
    ConditionalLayerGlow,
    ConditionalLayerHINT,
    ConditionalResidualBlock,
    Conv1x1,
    CouplingLayerBasic,
    CouplingLayerGlow,
    CouplingLayerHINT,
    CouplingLayerIRIM,
    HyperbolicLayer,
    ResidualBlock,
)
from .networks import (
    NetworkConditionalGlow,
    NetworkConditionalHINT,
    NetworkGlow,
    NetworkHyperbolic,
    NetworkLoop,
    NetworkMultiScaleConditionalHINT,
    NetworkMultiScaleHINT,
)
from .optimisers import SGD, Adam, AdamW, CosineDecay, ExponentialDecay
from .parameters import Parameter, clear_grad, get_params, named_params, set_params
from .reversal import reverse
from .training import fit
from .vectors import VectorFlow
from .weights import load, save

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "ActNorm",
    "Adam",
    "AdamW",
    "AffineLayer",
    "ConditionalLayerGlow",
    "ConditionalLayerHINT",
    "ConditionalResidualBlock",
    "Conv1x1",
    "CosineDecay",
    "CouplingLayerBasic",
    "CouplingLayerGlow",
    "CouplingLayerHINT",
    "CouplingLayerIRIM",
    "DeviceArray",
    "ExpClampLayer",
    "ExponentialDecay",
    "FluxBlock",
    "GaLUlayer",
    "HaarLayer",
    "Haar_squeeze",
    "History",
    "HyperbolicLayer",
    "Jacobian",
    "JuliaError",
    "LeakyReLUlayer",
    "NetworkConditionalGlow",
    "NetworkConditionalHINT",
    "NetworkGlow",
    "NetworkHyperbolic",
    "NetworkLoop",
    "NetworkMultiScaleConditionalHINT",
    "NetworkMultiScaleHINT",
    "Parameter",
    "ReLUlayer",
    "ResidualBlock",
    "Sequential",
    "ShuffleLayer",
    "Sigmoid2Layer",
    "SigmoidLayer",
    "SummarizedNet",
    "VectorFlow",
    "WaveletLayer",
    "clear_grad",
    "cpu",
    "fit",
    "get_params",
    "gpu",
    "gpu_available",
    "grad_log_likelihood",
    "grad_mse",
    "init",
    "invHaar_unsqueeze",
    "load",
    "load_bson",
    "log_likelihood",
    "mse",
    "named_params",
    "reverse",
    "sample_banana",
    "sample_swirl",
    "save",
    "set_params",
    "squeeze",
    "tensor_cat",
    "tensor_split",
    "unsqueeze",
    "use_engine",
    "wavelet_squeeze",
    "wavelet_unsqueeze",
]
