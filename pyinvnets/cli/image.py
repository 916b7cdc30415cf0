"""`python -m pyinvnets setup --system-image`: PackageCompiler.jl builds it; it is tried, and used from then on."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ..engines.julia import image
from ..engines.julia.errors import JuliaError
from ..engines.julia.installation import Installation
from ..engines.julia.overhear import overheard
from ..engines.julia.resolve import cause

FIRST_RUN = "from pyinvnets.cli.setup import trial; trial()"
FIRST_JULIACALL = (0, 9, 37)


def build(found: Installation) -> None:
    """Build the image of a project, with PackageCompiler's progress on screen.

    Raises:
        JuliaError: it could not be built, or does not start.
    """
    _check_juliacall()
    if image.path(found).is_file() and image.misfit(found) is None:
        print(f"The system image {image.path(found)} fits")
        return
    print(
        "Building a system image, in about 15 minutes on two cores; it takes 7 GB of memory and 600 MB of disk",
        flush=True,
    )
    begun = time.perf_counter()
    work = image.folder(found) / "work"
    built = work / image.path(found).name
    said: Callable[[], str] = str
    try:
        work.mkdir(parents=True, exist_ok=True)
        with overheard() as said:
            _build(found, work, built)
        _try(found, built)
        built.replace(image.path(found))
        image.note(found)
    except (OSError, subprocess.SubprocessError) as error:
        raise JuliaError(f"the system image could not be built: {cause(error, said())}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"Built in {(time.perf_counter() - begun) / 60:.0f} minutes: {image.path(found)}")


def _check_juliacall() -> None:
    version = importlib.metadata.version("juliacall")
    if tuple(map(int, version.split("."))) < FIRST_JULIACALL:
        needed = ".".join(map(str, FIRST_JULIACALL))
        raise JuliaError(
            f"juliacall {version} crashes on a system image with PythonCall in it; write `pip install "
            f"juliacall=={needed}`, run setup, then setup --system-image"
        )


def _build(found: Installation, work: Path, built: Path) -> None:
    trace = work / "first-run.jl"
    _python(found, FIRST_RUN, PYTHON_JULIACALL_TRACE_COMPILE=str(trace))
    script = Path(image.__file__).with_name("build_image.jl")
    subprocess.run(
        [found.executable, "--startup-file=no", script, built, work, found.project, image.SOURCES, trace],
        check=True,
        env=os.environ | {"JULIA_PYTHONCALL_EXE": sys.executable, "JULIA_PKG_PRECOMPILE_AUTO": "0"},
    )


def _try(found: Installation, built: Path) -> None:
    """A network in a process that starts from the image; one that does not start must not be used."""
    print("Trying it", flush=True)
    _python(found, FIRST_RUN, PYTHON_JULIACALL_SYSIMAGE=str(built))


def _python(found: Installation, code: str, **environment: str) -> None:
    named = {"PYTHON_JULIACALL_EXE": str(found.executable), "PYTHON_JULIACALL_PROJECT": str(found.project)}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | named | environment)
