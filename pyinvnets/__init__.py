"""Invertible neural networks and normalising flows of InvertibleNetworks.jl, in Python.

Importing this starts no Julia; the Julia engine starts at its first use.
"""

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ._version import __version__
from .engines import use_engine
from .engines.julia import JuliaError, init
from .engines.julia.device_array import DeviceArray
from .engines.julia.gpu import cpu, gpu, gpu_available
from .engines.threads import set_num_threads
from .functions import (
    ExpClampLayer,
    GaLUlayer,
    GaussianMixture,
    Haar_squeeze,
    HaarLayer,
    LeakyReLUlayer,
    ReLUlayer,
    ShuffleLayer,
    Sigmoid2Layer,
    SigmoidLayer,
    StudentT,
    WaveletLayer,
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
from .networks import (
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
    CouplingLayerSpline,
    EmbeddingBlock,
    FluxBlock,
    HyperbolicLayer,
    Jacobian,
    NetworkConditionalGlow,
    NetworkConditionalHINT,
    NetworkConditionalSpline,
    NetworkGlow,
    NetworkHyperbolic,
    NetworkLoop,
    NetworkMultiScaleConditionalHINT,
    NetworkMultiScaleHINT,
    NetworkSpline,
    ResidualBlock,
    Sequential,
    SummarizedNet,
    UNet,
    reverse,
)
from .networks.base.initialisation import begin_near_identity, take_condition_as_given
from .networks.base.parameters import Parameter, clear_grad, get_params, named_params, set_params
from .storage.bson import load_bson
from .storage.jld2 import load_jld2
from .storage.weights import load, save
from .training.densities import from_jax, from_torch
from .training.fit import fit
from .training.history import History
from .training.losses import MaximumLikelihood, ReverseKL
from .training.optimisers import SGD, Adam, AdamW
from .training.schedules import Annealing, CosineDecay, ExponentialDecay
from .vectors import VectorFlow

__all__ = [
    "SGD",
    "ActNorm",
    "Adam",
    "AdamW",
    "AffineLayer",
    "Annealing",
    "ConditionalLayerGlow",
    "ConditionalLayerHINT",
    "ConditionalResidualBlock",
    "Conv1x1",
    "CosineDecay",
    "CouplingLayerBasic",
    "CouplingLayerGlow",
    "CouplingLayerHINT",
    "CouplingLayerIRIM",
    "CouplingLayerSpline",
    "DeviceArray",
    "EmbeddingBlock",
    "ExpClampLayer",
    "ExponentialDecay",
    "FluxBlock",
    "GaLUlayer",
    "GaussianMixture",
    "HaarLayer",
    "Haar_squeeze",
    "History",
    "HyperbolicLayer",
    "Jacobian",
    "JuliaError",
    "LeakyReLUlayer",
    "MaximumLikelihood",
    "NetworkConditionalGlow",
    "NetworkConditionalHINT",
    "NetworkConditionalSpline",
    "NetworkGlow",
    "NetworkHyperbolic",
    "NetworkLoop",
    "NetworkMultiScaleConditionalHINT",
    "NetworkMultiScaleHINT",
    "NetworkSpline",
    "Parameter",
    "ReLUlayer",
    "ResidualBlock",
    "ReverseKL",
    "Sequential",
    "ShuffleLayer",
    "Sigmoid2Layer",
    "SigmoidLayer",
    "StudentT",
    "SummarizedNet",
    "UNet",
    "VectorFlow",
    "WaveletLayer",
    "__version__",
    "begin_near_identity",
    "clear_grad",
    "cpu",
    "fit",
    "from_jax",
    "from_torch",
    "get_params",
    "gpu",
    "gpu_available",
    "grad_log_likelihood",
    "grad_mse",
    "init",
    "invHaar_unsqueeze",
    "load",
    "load_bson",
    "load_jld2",
    "log_likelihood",
    "mse",
    "named_params",
    "reverse",
    "sample_banana",
    "sample_swirl",
    "save",
    "set_num_threads",
    "set_params",
    "squeeze",
    "take_condition_as_given",
    "tensor_cat",
    "tensor_split",
    "unsqueeze",
    "use_engine",
    "wavelet_squeeze",
    "wavelet_unsqueeze",
]

_NEEDS = {
    "diagnostics": "numpy",
    "inverse_problems": "numpy",
    "plotting": "matplotlib",
    "sklearn": "sklearn",
    "torch": "torch",
}
"""The modules that are imported when they are first asked for, and what each cannot do without."""

if TYPE_CHECKING:
    from . import diagnostics as diagnostics
    from . import inverse_problems as inverse_problems
    from . import plotting as plotting
    from . import sklearn as sklearn
    from . import torch as torch
else:

    def __getattr__(name: str) -> object:
        if name in _NEEDS:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name, package in _NEEDS.items() if find_spec(package))})
