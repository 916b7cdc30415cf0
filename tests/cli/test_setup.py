"""The way of a user without a Julia: juliapkg itself, with an executable that answers as Julia does in Julia's place.

Julia's start is the one step that is left out; test_setup_with_julia.py has it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from helpers.julia_user import DOCTOR, PATIENCE, READY, SETUP, User, failure_of
from helpers.processes import ROOT

NEEDED = ("InvertibleNetworks", "JOLI", "Flux", "NNlib", "PrecompileTools", "PythonCall")


@pytest.fixture
def user(tmp_path):
    return User(tmp_path)


def test_from_nothing_to_the_start(user):
    assert user.run(READY).stdout == "False\n"
    done = user.run(SETUP)
    assert done.returncode == 0 and "STARTED" in done.stdout, done.stdout + done.stderr
    assert f"project {user.project}, from juliapkg" in done.stdout
    assert user.run(READY).stdout == "True\n"
    again = user.run(SETUP)
    assert again.returncode == 0 and "Installing" not in again.stdout


def test_doctor_and_auto_know_what_juliapkg_resolved(user):
    """Neither can start the stand-in; each says so in a line."""
    before = user.run(DOCTOR)
    assert before.returncode == 1 and "python -m pyinvnets setup" in before.stdout
    user.gets_to_the_end()
    doctor = user.run(DOCTOR)
    assert doctor.returncode == 1 and "Traceback" not in doctor.stderr, doctor.stderr
    assert "1.10.8, " in doctor.stdout and "(from juliapkg)" in doctor.stdout
    assert str(user.project) in doctor.stdout and "does not start: Julia did not start" in doctor.stdout
    assert f"PYTHON_JULIACALL_PROJECT={user.project}\n" in doctor.stdout
    auto = user.run("import pyinvnets as inv\ntry: inv.ActNorm(2)\nexcept inv.JuliaError as error: print(error)")
    assert "Julia did not start" in auto.stdout, auto.stderr


def test_ready_takes_no_lock_and_writes_nothing(user):
    user.gets_to_the_end()
    before = {path: path.stat().st_mtime_ns for path in user.project.rglob("*")}
    assert user.run(READY).stdout == "True\n"
    assert before == {path: path.stat().st_mtime_ns for path in user.project.rglob("*")}


def test_what_is_set_up_from_one_folder_is_so_in_another(user):
    """A script's folder is on `sys.path`, where juliapkg looks for requirements: the same ones there change nothing."""
    user.gets_to_the_end()
    (user.folder / "pyinvnets-copy").mkdir()
    copy = user.folder / "pyinvnets-copy" / "juliapkg.json"
    copy.write_bytes((ROOT / "pyinvnets" / "juliapkg.json").read_bytes())
    assert user.run(READY).stdout == "True\n"
    copy.write_text('{"packages": {"Example": {"uuid": "7876af07-990d-54b4-ab0e-23690620f79a"}}}')
    assert user.run(READY).stdout == "False\n"
    user.gets_to_the_end()
    assert "deps.Example" in (user.project / "Manifest.toml").read_text()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("packages", "Could not resolve host: pkg.julialang.org"),
        ("memory", "Julia was killed, as it is where memory runs out"),
    ],
)
def test_julias_own_failure(user, failure, words):
    message = failure_of(user.run(SETUP, STAND_IN_FAILURE=failure))
    assert words in message and "Stacktrace" not in message and "setup` again" in message
    assert user.run(READY).stdout == "False\n"
    user.gets_to_the_end()


def test_no_network(user):
    """Nothing listens at that port, and there is no Julia to be had without it."""
    julia = user.environment.pop("PYTHON_JULIAPKG_EXE")
    path = {"PATH": "/usr/bin:/bin", "https_proxy": "http://127.0.0.1:9"}
    assert "there is no network" in failure_of(user.run(SETUP, **path))
    user.environment["PYTHON_JULIAPKG_EXE"] = julia
    user.gets_to_the_end()


def test_told_to_stay_offline(user):
    del user.environment["PYTHON_JULIAPKG_EXE"]
    message = failure_of(user.run(SETUP, PATH="/usr/bin:/bin", PYTHON_JULIAPKG_OFFLINE="yes"))
    assert "could not find Julia" in message


def test_a_folder_that_cannot_be_made(user):
    (user.folder / "file").write_text("")
    message = failure_of(user.run(SETUP, PYTHON_JULIAPKG_PROJECT=str(user.folder / "file" / "project")))
    assert "Not a directory" in message and str(user.folder / "file") in message
    user.gets_to_the_end()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, which is a full disk, here")
def test_a_full_disk(user):
    project = user.folder / "project"
    project.mkdir()
    (project / "Project.toml").symlink_to("/dev/full")
    user.environment["PYTHON_JULIAPKG_PROJECT"] = str(project)
    assert "the disk is full" in failure_of(user.run(SETUP))
    (project / "Project.toml").unlink()
    user.gets_to_the_end()


def test_a_wrong_setting_of_juliapkg(user):
    message = failure_of(user.run(SETUP, PYTHON_JULIAPKG_PROJECT="here"))
    assert "PYTHON_JULIAPKG_PROJECT must be an absolute path" in message


def test_a_julia_that_is_none(user):
    message = failure_of(user.run(SETUP, PYTHON_JULIAPKG_EXE="/bin/false"))
    assert "/bin/false is not a Julia executable" in message


def wait_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.02)


def test_killed_while_packages_are_installed(user):
    go = user.folder / "go"
    process = user.begin(SETUP, STAND_IN_UNTIL=str(go))
    wait_for(user.project / "Project.toml")
    process.kill()
    go.touch()  # the stand-in outlives its parent, as Julia does
    process.communicate()
    assert user.run(READY).stdout == "False\n"
    user.gets_to_the_end()


def test_killed_while_an_update_is_installed(user):
    """juliapkg's notes of the first time are still there, and its manifest is not."""
    user.gets_to_the_end()
    (user.project / "Manifest.toml").unlink()
    assert user.run(READY).stdout == "False\n"
    user.gets_to_the_end()


def test_killed_while_julia_is_unpacked(user):
    """Half a Julia that answers to `--version` is not taken for a whole one."""
    half = user.project / "pyjuliapkg" / "install" / "bin" / "julia"
    half.parent.mkdir(parents=True)
    half.write_text("#!/bin/sh\necho julia version 1.10.8\n")
    half.chmod(0o755)
    (user.project / "pyinvnets-begun").touch()
    user.gets_to_the_end()
    assert not half.exists() and not (user.project / "pyinvnets-begun").exists()


def test_two_at_once(user):
    go = user.folder / "go"
    first = user.begin(SETUP, STAND_IN_UNTIL=str(go))
    wait_for(user.project / "Project.toml")
    second = user.begin(SETUP)
    line = second.stdout.readline()
    while line and "Waiting for another setup" not in line:
        line = second.stdout.readline()
    assert line, "the second does not wait"
    go.touch()
    outputs = [process.communicate(timeout=PATIENCE) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert ["Installing packages" in errors for _, errors in outputs] == [True, False]


def test_a_newer_juliacall_asks_for_another_setup(user):
    user.gets_to_the_end()
    manifest = user.project / "Manifest.toml"
    text = manifest.read_text()
    here = next(part for part in text.split("[[deps.") if part.startswith("PythonCall"))
    manifest.write_text(text.replace(here, here.replace('version = "', 'version = "0.8.')))
    assert user.run(READY).stdout == "False\n"
    doctor = user.run(DOCTOR)
    assert "which works with juliacall of that version only" in doctor.stdout
    user.gets_to_the_end()


def test_the_parts_of_juliapkg_that_are_relied_on(user):
    """They are not documented; this is where a change of theirs shows first."""
    user.gets_to_the_end()
    code = """
import inspect, json, juliapkg
from juliapkg.deps import deps_files, load_meta
from juliapkg.state import STATE
print(json.dumps([
    {name: STATE[name] for name in ("project", "install", "meta", "override_executable")},
    load_meta(), deps_files(), list(inspect.signature(juliapkg.resolve).parameters)]))
"""
    state, notes, files, parameters = json.loads(user.run(code).stdout)
    assert state == {
        "project": str(user.project),
        "install": str(user.project / "pyjuliapkg" / "install"),
        "meta": str(user.project / "pyjuliapkg" / "meta.json"),
        "override_executable": str(user.julia),
    }
    assert notes["executable"] == str(user.julia) and notes["version"] == "1.10.8"
    assert notes.get("libjulia") in (None, "/stand-in/lib/libjulia.so")  # older ones have none
    assert notes.get("bindir") in (None, "/stand-in/bin")
    assert str(ROOT / "pyinvnets" / "juliapkg.json") in files and set(files) == set(notes["deps_files"])
    assert all(len(file["hash_sha256"]) == 64 for file in notes["deps_files"].values())
    assert "force" in parameters
    assert set(NEEDED) <= {package["name"] for package in notes["pkgs"]}
