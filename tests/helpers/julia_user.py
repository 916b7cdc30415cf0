"""A user without a Julia: a home of their own, and in Julia's place an executable that answers as Julia does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from helpers.processes import ROOT

SETUP = """
import sys
from pathlib import Path
from pyinvnets.cli.main import main
from pyinvnets.cli import setup
from pyinvnets.engines.julia import runtime
setup.started = lambda found: print("STARTED")
runtime.library = lambda: (Path("/stand-in/lib/libjulia.so"), Path("/stand-in/bin"))
sys.exit(main(["setup", *sys.argv[1:]]))
"""
"""All of `setup` but Julia's start."""
DOCTOR = """
import sys
from pyinvnets.cli.main import main
sys.exit(main(["doctor"]))
"""
PATIENCE = 300
"""Seconds, for a machine that has much else to do."""
READY = "from pyinvnets.engines import julia; print(julia.ready())"


class User:
    """A home and a virtual environment of its own, with the packages of this one, and Julia's stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment_folder = folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.environment_folder], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = self.environment_folder / "lib" / version / "site-packages"
        (packages / "borrowed.pth").write_text("\n".join(p for p in sys.path if p.endswith("-packages")))
        self.julia = folder / "julia"
        self.julia.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "tests" / "helpers" / "julia_stand_in.py"}" "$@"\n'
        )
        self.julia.chmod(0o755)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JULIA", "PYINVNETS"))}
        self.environment |= {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PYTHON_JULIAPKG_EXE": str(self.julia),
            "PYTHONPATH": str(ROOT),
        }

    @property
    def project(self) -> Path:
        return Path(self.environment.get("PYTHON_JULIAPKG_PROJECT", self.environment_folder / "julia_env"))

    def begin(self, code: str, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [self.environment_folder / "bin" / "python", "-c", code, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        process = self.begin(code, *arguments, **environment)
        output, errors = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def gets_to_the_end(self) -> None:
        done = self.run(SETUP)
        assert done.returncode == 0 and "STARTED" in done.stdout, done.stdout + done.stderr
        assert self.run(READY).stdout == "True\n"


def failure_of(done: subprocess.CompletedProcess) -> str:
    """The one message of a setup that failed."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "STARTED" not in done.stdout
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("pyinvnets setup:")]
    return message
