"""Python code in a process of its own, for what can happen only once in a process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_python(
    code: str, *options: str, environment: Mapping[str, str] = os.environ, timeout: float = 120
) -> subprocess.CompletedProcess:
    """Run `code` in the checkout, with interpreter options before it."""
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_without_julia(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run `code` where juliapkg has resolved nothing, and finds no Julia."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON_JULIA", "JULIA", "PYINVNETS"))}
    kept |= {"PYTHON_JULIAPKG_PROJECT": str(folder / "project"), "PYTHON_JULIAPKG_OFFLINE": "yes"}
    kept |= {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}  # where a Julia may be remembered
    return run_python(code, environment=kept | environment)


@contextlib.contextmanager
def interruptible(
    code: str, *arguments: str | Path, folder: Path = ROOT, environment: Mapping[str, str] = os.environ
) -> Iterator[subprocess.Popen]:
    """A process that runs `code` and hears Ctrl-C even where this one ignores it, as a job in the background does.

    It does not outlive the context.
    """
    hearing = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", hearing + code, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
