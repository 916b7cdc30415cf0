"""`python -m pyinvnets setup`: Julia and its packages, installed, precompiled and tried."""

from __future__ import annotations

import os
import time

from ..engines.julia import runtime
from ..engines.julia.errors import JuliaError


def run() -> None:
    """Install what is missing, with progress on screen, and end with a forward and a backward pass.

    Raises:
        JuliaError: something could not be installed or does not start; the message says what.
    """
    if os.environ.get("PYTHON_JULIACALL_EXE") and os.environ.get("PYTHON_JULIACALL_PROJECT"):
        print("Julia: as PYTHON_JULIACALL_EXE and PYTHON_JULIACALL_PROJECT say; nothing is installed")
    else:
        _resolve()
    executable, project = runtime.installation() or (None, None)
    print(f"Julia {executable}, project {project}")
    print("Starting, and precompiling what is new: some minutes the first time, seconds later", flush=True)
    start = time.perf_counter()
    engine = runtime.start()
    print(f"InvertibleNetworks.jl {engine.bridge.upstream_version()} runs after {time.perf_counter() - start:.1f} s")
    print(f"A forward and a backward pass: {trial():.2f} s")
    print('Ready: networks now take engine="julia" by default')


def _resolve() -> None:
    import juliapkg

    print("Installing Julia and its packages with juliapkg")
    try:
        juliapkg.resolve()
    except Exception as error:  # juliapkg raises bare Exceptions
        raise JuliaError(
            "juliapkg could not install Julia and its packages; its own messages are above. With a Julia of your own, "
            "set PYTHON_JULIACALL_EXE to it and PYTHON_JULIACALL_PROJECT to a project with InvertibleNetworks 2.3.1, "
            "JOLI 0.9, Flux 0.14 and PythonCall 0.9.34"
        ) from error


def trial() -> float:
    """Seconds of a forward and a backward pass on the Julia engine, checked by the round trip.

    Raises:
        JuliaError: the input is not recovered.
    """
    import numpy as np

    from ..functions import sample_banana
    from ..networks import NetworkGlow

    start = time.perf_counter()
    X = sample_banana(150, seed=1, engine="julia")
    G = NetworkGlow(2, 16, 1, 2, seed=1, engine="julia")
    Z, _ = G.forward(X)
    _, X_again = G.backward(Z / 150, Z)
    if not np.allclose(X, X_again, atol=1e-2):
        raise JuliaError("a network's backward does not recover its input: this Julia computes wrong numbers")
    return time.perf_counter() - start
