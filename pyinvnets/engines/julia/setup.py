"""`python -m pyinvnets setup`: Julia and its packages, installed, precompiled and tried."""

from __future__ import annotations

import os
import time

from . import installation, runtime
from .resolve import resolve


def run() -> None:
    """Install what is missing, with progress on screen, and end with a forward and a backward pass.

    Raises:
        JuliaError: something could not be installed or does not start; the message says what.
    """
    try:
        found = installation.find()
        installation.check_packages(found)
    except runtime.JuliaError as error:
        if os.environ.get("PYTHON_JULIACALL_EXE") or os.environ.get("PYTHON_JULIACALL_PROJECT"):
            raise runtime.JuliaError(f"{error}; nothing is installed into a Julia that is named so") from None
        print("Installing Julia and its packages with juliapkg", flush=True)
        resolve()
        found = installation.find()
    print(f"Julia {found.executable}, project {found.project}, from {found.origin}")
    started()
    print('Ready: networks now take engine="julia" by default')


def started() -> None:
    """Start Julia and try a network, and say how long each took."""
    print("Starting, and precompiling what is new: some minutes the first time, seconds later", flush=True)
    start = time.perf_counter()
    engine = runtime.start()
    print(f"InvertibleNetworks.jl {engine.bridge.upstream_version()} runs after {time.perf_counter() - start:.1f} s")
    print(f"A forward and a backward pass: {trial():.2f} s")


def trial() -> float:
    """Seconds of a forward and a backward pass on the Julia engine, checked by the round trip.

    Raises:
        JuliaError: the input is not recovered.
    """
    import numpy as np

    from ...functions import sample_banana
    from ...networks import NetworkGlow

    start = time.perf_counter()
    X = sample_banana(150, seed=1, engine="julia")
    G = NetworkGlow(2, 16, 1, 2, seed=1, engine="julia")
    Z, _ = G.forward(X)
    _, X_again = G.backward(Z / 150, Z)
    if not np.allclose(X, X_again, atol=1e-2):
        raise runtime.JuliaError("a network's backward does not recover its input: this Julia computes wrong numbers")
    return time.perf_counter() - start
