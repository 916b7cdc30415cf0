"""A Julia that is there, named to `setup` once and used from then on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.julia_user import DOCTOR, READY, SETUP, User, failure_of
from helpers.processes import ROOT
from pyinvnets.engines.julia import installation


@pytest.fixture
def user(tmp_path):
    user = User(tmp_path)
    del user.environment["PYTHON_JULIAPKG_EXE"]
    user.environment["PATH"] = "/usr/bin:/bin"
    return user


@pytest.fixture
def project(tmp_path):
    return project_with(tmp_path / "my project")


def project_with(folder: Path, **others: str) -> Path:
    versions = dict.fromkeys(installation.needed_packages(), "1.0.0") | {"PythonCall": juliacall_version()} | others
    folder.mkdir()
    sections = [f'[[deps.{name}]]\nversion = "{version}"\n' for name, version in versions.items() if version]
    (folder / "Manifest.toml").write_text("\n".join(sections))
    return folder


def juliacall_version() -> str:
    return installation.importlib.metadata.version("juliacall")


def setup(user: User, project: Path, **environment: str) -> subprocess.CompletedProcess:
    return user.run(SETUP, "--julia", str(user.julia), "--project", str(project), **environment)


def test_remembered(user, project):
    done = setup(user, project)
    assert done.returncode == 0 and "STARTED" in done.stdout and "Remembered in" in done.stdout, done.stderr
    assert user.run(READY).stdout == "True\n"
    (file,) = user.folder.rglob("julia.json")
    remembered = {"executable": str(user.julia), "project": str(project)}
    assert json.loads(file.read_text()) == remembered | {
        "library": "/stand-in/lib/libjulia.so",
        "bindir": "/stand-in/bin",
    }
    doctor = user.run(DOCTOR).stdout
    assert str(file) in doctor and "my project" in doctor and "setup --forget" in doctor
    plain = user.run(SETUP)
    assert plain.returncode == 0 and str(project) in plain.stdout and "Installing" not in plain.stdout


def test_pytest_finds_it(user, project):
    setup(user, project)
    test = "import pytest, conftest\n@pytest.mark.julia\ndef test():\n    assert conftest.julia_ready()\n"
    (user.folder / "test_it.py").write_text(test)
    conftest = ROOT / "tests" / "conftest.py"
    (user.folder / "conftest.py").write_text(conftest.read_text())
    done = user.run("import sys, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'test_it.py']))")
    assert "1 passed" in done.stdout, done.stdout


def test_forgotten(user, project):
    setup(user, project)
    assert "could not find Julia" in failure_of(user.run(SETUP, "--forget", PYTHON_JULIAPKG_OFFLINE="yes"))
    assert user.run(READY).stdout == "False\n" and not list(user.folder.rglob("julia.json"))


def test_environment_variables_go_first(user, project, tmp_path):
    setup(user, project)
    other = project_with(tmp_path / "other")
    named = {"PYTHON_JULIACALL_EXE": str(user.julia), "PYTHON_JULIACALL_PROJECT": str(other)}
    assert str(other) in user.run(SETUP, **named).stdout
    assert "they are set here, and go first" in setup(user, project, **named).stdout


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"Flux": ""}, ["has no Flux", "Pkg.add", 'name="Flux"', 'version="0.14"']),
        ({"PythonCall": "0.1.0"}, ["has PythonCall 0.1.0", f'version="{juliacall_version()}"']),
    ],
)
def test_a_project_that_lacks_something(user, tmp_path, others, words):
    project = project_with(tmp_path / "project", **others)
    message = failure_of(setup(user, project))
    assert all(word in message for word in [*words, f"--project={project}", str(user.julia)]), message
    assert not list(user.folder.rglob("julia.json"))


def test_what_does_not_start_is_not_remembered(user, project):
    code = SETUP.replace('lambda found: print("STARTED")', "runtime.start")
    message = failure_of(user.run(code, "--julia", str(user.julia), "--project", str(project)))
    assert "Julia did not start" in message and not list(user.folder.rglob("julia.json"))


def test_what_is_not_there(user, project, tmp_path):
    assert "/nowhere is no program" in failure_of(user.run(SETUP, "--julia", "/nowhere", "--project", str(project)))
    message = failure_of(user.run(SETUP, "--julia", str(user.julia), "--project", "/nowhere"))
    assert "/nowhere is no folder" in message
    setup(user, project)
    user.julia.unlink()
    assert "setup --forget" in failure_of(user.run(SETUP))
    assert user.run(READY).stdout == "False\n"


def test_a_memory_that_cannot_be_read(user, project):
    setup(user, project)
    (file,) = user.folder.rglob("julia.json")
    file.write_text("{")
    assert "setup --forget" in failure_of(user.run(SETUP))
    assert user.run(READY).stdout == "False\n"


def test_one_of_the_two_options(user):
    done = user.run(SETUP, "--julia", sys.executable)
    assert done.returncode == 2 and "--julia and --project go together" in done.stderr
