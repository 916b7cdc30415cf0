"""Flux's optimisers over a flat vector of parameters."""

from __future__ import annotations

import numpy as np


def _adam(x, grad, m, v, step: int, eta: float, beta1: float, beta2: float, epsilon: float, decay) -> None:
    """Flux.jl, src/optimise/optimisers.jl, `apply!(o::Adam, …)`, and after it `apply!(o::WeightDecay, …)`.

    `decay` is that of each element, or `None` where nothing decays.
    """
    m *= beta1
    m += (1 - beta1) * grad
    v *= beta2
    v += (1 - beta2) * (grad * grad)
    denominator = v / (1 - beta2**step)
    np.sqrt(denominator, out=denominator)
    denominator += epsilon
    update = m / denominator
    update *= eta / (1 - beta1**step)
    if decay is not None:
        update += decay * x
    x -= update


def _momentum(x, grad, velocity, eta: float, rho: float) -> None:
    """Flux.jl, src/optimise/optimisers.jl, `apply!(o::Momentum, …)`; without momentum, `apply!(o::Descent, …)`."""
    velocity *= rho
    velocity -= eta * grad
    x += velocity
