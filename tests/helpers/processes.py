"""Python code in a process of its own, for what can happen only once in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
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
