"""The way of a user with Julia itself, each step in a process of its own. Minutes, where packages are compiled anew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.processes import ROOT
from pyinvnets.engines.julia import installation

pytestmark = pytest.mark.julia

NETWORK = """
import pyinvnets as inv
from pyinvnets.cli.setup import trial
trial()
print(inv.ActNorm(2).engine, inv.__file__)
"""


def run(*arguments: str, folder: Path = ROOT, environment: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )


@pytest.fixture
def home(tmp_path):
    """The environment of a user whose configuration is empty, and who has set nothing of Julia's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON_JULIA", "PYINVNETS"))}
    return kept | {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_CACHE_HOME": str(tmp_path)}


def test_from_nothing_to_a_backward_pass(tmp_path, home):
    """juliapkg installs the packages for the Julia that is here into a project that is not yet there. They come from
    the internet, or from a registry in Julia's depot and repositories that Git's configuration puts in their place."""
    home |= {
        "PYTHON_JULIAPKG_EXE": str(installation.find().executable),
        "PYTHON_JULIAPKG_PROJECT": str(tmp_path / "project"),
    }
    done = run("-m", "pyinvnets", "setup", environment=home)
    if re.search("there is no network|[Cc]ould not resolve host|failed to resolve address", done.stderr):
        pytest.skip("no network to install Julia's packages from")
    assert done.returncode == 0 and "Ready" in done.stdout, done.stdout + done.stderr
    again = run("-c", NETWORK, environment=home)
    assert again.stdout.startswith("julia ") and "compiling" not in again.stderr, again.stderr
    assert run("-m", "pyinvnets", "doctor", environment=home).returncode == 0


def test_a_julia_that_is_named_is_remembered(tmp_path, home):
    found = installation.find()
    done = run(
        "-m", "pyinvnets", "setup", "--julia", str(found.executable), "--project", str(found.project), environment=home
    )
    assert done.returncode == 0 and "Remembered in" in done.stdout, done.stdout + done.stderr
    network = run("-c", NETWORK, environment=home)
    assert network.stdout.startswith("julia "), network.stderr


def test_two_copies_of_pyinvnets_share_a_project(tmp_path, home):
    """Each compiles its Julia side once, and says so; going from one to the other compiles nothing."""
    found = installation.find()
    home |= {"PYTHON_JULIACALL_EXE": str(found.executable), "PYTHON_JULIACALL_PROJECT": str(found.project)}
    copies = [tmp_path / name for name in ("one", "two")]
    for copy in copies:
        shutil.copytree(ROOT / "pyinvnets", copy / "pyinvnets")
        first = run("-c", NETWORK, folder=copy, environment=home)
        assert "compiling its Julia side" in first.stderr and str(copy) in first.stdout, first.stderr
    for copy in copies:
        again = run("-c", NETWORK, folder=copy, environment=home)
        assert again.stdout.startswith("julia ") and "compiling" not in again.stderr, again.stderr
