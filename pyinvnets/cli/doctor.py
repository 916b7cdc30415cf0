"""`python -m pyinvnets doctor`: what of the Julia engine is there and usable, a line each, with the mend."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sysconfig
from collections.abc import Iterator

from ..engines.julia import image, installation, runtime
from ..engines.julia.errors import JuliaError
from ..engines.julia.installation import Installation
from ..engines.julia.versions import TRIED, is_tried_julia, remark
from .setup import trial

PACKAGES = (*installation.requirements()["packages"], "PythonCall", "CUDA")

Line = tuple[bool | None, str, str]
"""Good, bad or neither; what it is about; what was found and how to mend it."""


def run() -> int:
    """Print the report, line by line; 0 where the Julia engine can start, else 1."""
    installed = [_printed(*line) for line in _installed()]
    if not all(installed):
        _printed(False, "engine", "not started, for what is missing above")
        return 1
    started = [_printed(*line) for line in _engine()]
    return 0 if all(started) else 1


def _printed(good: bool | None, subject: str, text: str) -> bool:
    """Print a line; whether it is not bad."""
    print(f"{ {True: 'ok', False: 'MISSING', None: '--'}[good]:8}{subject:20}{text}", flush=True)
    return good is not False


def _installed() -> Iterator[Line]:
    yield from _python()
    try:
        found = installation.find()
    except JuliaError as error:
        yield False, "Julia", str(error)
    else:
        yield from _julia(found)


def _python() -> Iterator[Line]:
    yield True, "Python", f"{platform.python_version()}, numpy {importlib.metadata.version('numpy')}"
    for module, distribution, mend in (
        ("juliacall", "juliacall", f"pip install juliacall=={TRIED['juliacall'][-1]}"),
        ("pywt", "PyWavelets", "pip install PyWavelets (JOLI.jl imports it)"),
    ):
        if importlib.util.find_spec(module) is None:
            yield False, module, f"write `{mend}`"
        else:
            version = importlib.metadata.version(distribution)
            yield True, module, f"{distribution} {version}{remark(distribution, version)}"
    shared = bool(sysconfig.get_config_var("Py_ENABLE_SHARED"))
    yield None, "Python as a library", ("yes" if shared else "no") + "; only Julia that starts Python needs it"


def _julia(found: Installation) -> Iterator[Line]:
    try:
        done = subprocess.run([found.executable, "--version"], capture_output=True, text=True, timeout=60, check=True)
        version = done.stdout.split()[-1] if done.stdout.strip() else "unknown"
        tried = "" if is_tried_julia(version) else remark("Julia", version)
        yield True, "Julia", f"{version}{tried}, {found.executable} (from {found.origin})"
    except (OSError, subprocess.SubprocessError) as error:
        yield False, "Julia", f"{found.executable} does not run ({error}); run `python -m pyinvnets setup`"
    writable = os.access(found.project, os.W_OK)
    yield None, "project", f"{found.project}, {'can' if writable else 'cannot'} be written"
    named = f"PYTHON_JULIACALL_EXE={found.executable} PYTHON_JULIACALL_PROJECT={found.project}"
    yield None, "many processes", f"may start at once; a program that imports juliacall itself needs {named}"
    if image.path(found).is_file():
        yield None, "system image", "does not fit, since " + changed if (changed := image.misfit(found)) else "fits"
    else:
        yield None, "system image", "none; `python -m pyinvnets setup --system-image` builds one, for a faster start"
    yield from _packages(installation.package_versions(found.project))
    if importlib.util.find_spec("juliacall") is not None:
        try:
            installation.check_packages(found)
        except JuliaError as error:
            yield False, "packages", str(error)


def _packages(versions: dict[str, str]) -> Iterator[Line]:
    for name in PACKAGES:
        if name in versions:
            yield True, name, versions[name] + remark(name, versions[name])
        else:
            needed = name not in installation.ONLY_FOR_GPUS
            yield False if needed else None, name, "not in the project" + ("" if needed else "; only GPUs need it")


def _engine() -> Iterator[Line]:
    try:
        engine = runtime.start()
        seconds = trial()
    except Exception as error:  # whatever stops the engine is the report
        yield False, "engine", f"does not start: {error}"
        return
    yield True, "engine", f"starts; a forward and a backward pass in {seconds:.2f} s"
    yield None, "threads", f"{engine.bridge.threads()} of Julia; pyinvnets.init(threads=…) chooses"
    usable = engine.bridge.cuda_usable()
    yield None, "CUDA", "a GPU can be used" if usable else "no GPU that CUDA.jl can use"
