"""Upstream's functions: activations, squeezers, objectives, test distributions."""

from .activations import (
    ActivationFunction,
    ExpClampLayer,
    GaLUlayer,
    LeakyReLUlayer,
    ReLUlayer,
    Sigmoid2Layer,
    SigmoidLayer,
)
from .bases import GaussianMixture, StudentT
from .distributions import sample_banana, sample_swirl
from .objectives import grad_log_likelihood, grad_mse, log_likelihood, mse
from .squeezers import (
    Haar_squeeze,
    HaarLayer,
    ShuffleLayer,
    Squeezer,
    WaveletLayer,
    invHaar_unsqueeze,
    squeeze,
    tensor_cat,
    tensor_split,
    unsqueeze,
    wavelet_squeeze,
    wavelet_unsqueeze,
)

VALUES = {
    kind.__name__: kind
    for kind in (
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
}
"""The activations and squeezers by name."""

__all__ = [
    "VALUES",
    "ActivationFunction",
    "ExpClampLayer",
    "GaLUlayer",
    "GaussianMixture",
    "HaarLayer",
    "Haar_squeeze",
    "LeakyReLUlayer",
    "ReLUlayer",
    "ShuffleLayer",
    "Sigmoid2Layer",
    "SigmoidLayer",
    "Squeezer",
    "StudentT",
    "WaveletLayer",
    "grad_log_likelihood",
    "grad_mse",
    "invHaar_unsqueeze",
    "log_likelihood",
    "mse",
    "sample_banana",
    "sample_swirl",
    "squeeze",
    "tensor_cat",
    "tensor_split",
    "unsqueeze",
    "wavelet_squeeze",
    "wavelet_unsqueeze",
]
