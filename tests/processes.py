"""Python code in a process of its own, for what can happen only once in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent


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
