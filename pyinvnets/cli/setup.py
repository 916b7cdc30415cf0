"""`python -m pyinvnets setup`: Julia and its packages, installed, precompiled and tried."""

from __future__ import annotations

import time

from ..engines.julia import installation, runtime, settings
from ..engines.julia.errors import JuliaError
from ..engines.julia.installation import Installation
from ..engines.julia.resolve import resolve
from . import image


def run(
    julia: str | None = None, project: str | None = None, *, forget: bool = False, system_image: bool = False
) -> None:
    """Install what is missing, with progress on screen, and end with a forward and a backward pass.

    Args:
        julia: a Julia that is there, used from now on in place of an installed one.
        project: its project, which has the packages; nothing is installed into it.
        forget: use the named Julia no longer.
        system_image: build a system image too, to start from.

    Raises:
        JuliaError: something could not be installed or does not start; the message says what.
    """
    if forget:
        settings.forget()
    if julia and project:
        found = installation.located(julia, project, "--julia and --project")
        installation.check_packages(found)
    else:
        found = _found_or_installed()
    print(f"Julia {found.executable}, project {found.project}, from {found.origin}")
    started(found)
    if julia and project:
        _remember(found)
    if system_image:
        image.build(found)
    print('Ready: networks now take engine="julia" by default')


def _found_or_installed() -> Installation:
    if installation.named() is None and not installation.is_complete():
        _install()
    found = installation.find()
    installation.check_packages(found)
    return found


def _install() -> None:
    asked = installation.requirements()
    print(
        f"Installing Julia {asked['julia']} and {', '.join(asked['packages'])} with juliapkg. It takes ten minutes and "
        "more on two cores: CUDA.jl, DataFrames, Zygote and NFFT, which they need, are compiled even without a GPU",
        flush=True,
    )
    resolve()


def _remember(found: Installation) -> None:
    library, bindir = runtime.library()
    settings.remember(executable=found.executable, project=found.project, library=library, bindir=bindir)
    print(f"Remembered in {settings.file()}: no environment variables are needed")
    if installation.in_environment() is not None:
        print("but they are set here, and go first: unset PYTHON_JULIACALL_EXE and PYTHON_JULIACALL_PROJECT")


def started(found: Installation) -> None:
    """Start Julia and try a network, and say how long each took."""
    print("Starting, and precompiling what is new: some minutes the first time, seconds later", flush=True)
    start = time.perf_counter()
    engine = runtime.start(found)
    print(f"InvertibleNetworks.jl {engine.bridge.upstream_version()} runs after {time.perf_counter() - start:.1f} s")
    print(f"A forward and a backward pass: {trial():.2f} s")


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
