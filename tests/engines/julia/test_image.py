"""When a system image is used, and what is said where it is not. None is built here."""

from __future__ import annotations

import os

import pytest

from pyinvnets.cli import image as building
from pyinvnets.engines.julia import image, runtime
from pyinvnets.engines.julia.errors import JuliaError
from pyinvnets.engines.julia.installation import Installation


@pytest.fixture
def found(tmp_path, monkeypatch):
    """An installation with an image that fits."""
    monkeypatch.delenv("JULIA_CPU_TARGET", raising=False)
    monkeypatch.delenv("PYTHON_JULIACALL_SYSIMAGE", raising=False)
    library = tmp_path / "julia" / "lib" / "libjulia.so.1.10.8"
    library.parent.mkdir(parents=True)
    library.touch()
    (tmp_path / "julia" / "bin").mkdir()
    (tmp_path / "julia" / "bin" / "julia").touch(0o755)
    found = Installation(tmp_path / "julia" / "bin" / "julia", tmp_path / "project", "a test")
    image.folder(found).mkdir(parents=True)
    (found.project / "Manifest.toml").write_text("one")
    image.path(found).touch()
    image.note(found)
    return found


def change_julia(found):
    lib = found.executable.parents[1] / "lib"
    (lib / "libjulia.so.1.10.8").rename(lib / "libjulia.so.1.10.9")


def change_packages(found):
    (found.project / "Manifest.toml").write_text("two")


def change_processor(found):
    notes = image.folder(found) / "image.json"
    notes.write_text(notes.read_text().replace(image.ingredients(found)["the processor"], "another"))


def test_one_that_fits_is_used(found):
    assert image.misfit(found) is None and image.usable(found) == image.path(found)
    with runtime._location(found):
        assert os.environ["PYTHON_JULIACALL_SYSIMAGE"] == str(image.path(found))
    assert "PYTHON_JULIACALL_SYSIMAGE" not in os.environ


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_julia, "Julia changed"),
        (change_packages, "its packages changed"),
        (change_processor, "the processor changed"),
        (lambda found: (image.folder(found) / "image.json").unlink(), "not known what it was built from"),
    ],
)
def test_one_that_does_not_fit_is_not(found, change, words, capfd):
    change(found)
    assert image.usable(found) is None
    (line,) = capfd.readouterr().err.splitlines()
    assert words in line and "setup --system-image" in line


def test_changed_sources_of_pyinvnets(found, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(image, "SOURCES", tmp_path)
    assert image.usable(found) is None and "pyinvnets changed" in capfd.readouterr().err


def test_none_is_no_word(found, capfd):
    image.path(found).unlink()
    assert image.usable(found) is None and capfd.readouterr().err == ""


def test_processors_that_were_named(found, monkeypatch):
    """An image that was compiled for several kinds of processor fits any of them."""
    monkeypatch.setenv("JULIA_CPU_TARGET", "generic;haswell")
    image.note(found)
    monkeypatch.delenv("JULIA_CPU_TARGET")
    assert image.misfit(found) is None


def test_the_users_own_goes_first(found, monkeypatch):
    monkeypatch.setenv("PYTHON_JULIACALL_SYSIMAGE", "/my/image.so")
    with runtime._location(found):
        assert os.environ["PYTHON_JULIACALL_SYSIMAGE"] == "/my/image.so"


def test_a_juliacall_that_would_crash_is_refused(found, monkeypatch):
    monkeypatch.setattr(building.importlib.metadata, "version", lambda name: "0.9.34")
    with pytest.raises(JuliaError, match=r"juliacall 0\.9\.34 crashes on .*juliacall==0\.9\.37"):
        building.build(found)
