"""Where a copy of pyinvnets keeps its compiled Julia side."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyinvnets.engines.julia.caches import own_depots


@pytest.fixture
def read_only(monkeypatch):
    """Folders that cannot be written, whoever runs the tests."""
    folders: list[Path] = []
    can = os.access

    def access(path, mode):
        written = mode & os.W_OK and any(Path(path).is_relative_to(folder) for folder in folders)
        return not written and can(path, mode)

    monkeypatch.setattr(os, "access", access)
    return folders


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    return tmp_path / "home"


def test_each_copy_has_its_own(tmp_path):
    first, second = (own_depots([tmp_path / "depot"], tmp_path / name) for name in ("one", "two"))
    assert first != second and len(first) == len(second) == 1
    assert first[0].parent == second[0].parent == tmp_path / "depot" / "pyinvnets"
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert own_depots([tmp_path / "depot"], tmp_path / "link") == first


def test_what_was_compiled_into_any_depot_is_found(tmp_path):
    (shared,) = own_depots([tmp_path / "shared"], tmp_path)
    shared.mkdir(parents=True)
    mine, other = own_depots([tmp_path / "mine", tmp_path / "none", tmp_path / "shared"], tmp_path)
    assert mine.is_relative_to(tmp_path / "mine") and other == shared


def test_a_depot_that_cannot_be_written_is_read(tmp_path, read_only, cache):
    (shared,) = own_depots([tmp_path / "shared"], tmp_path)
    shared.mkdir(parents=True)
    read_only.append(tmp_path / "shared")
    written, read = own_depots([tmp_path / "shared"], tmp_path)
    assert written.is_relative_to(cache) and read == shared


def test_a_home_that_cannot_be_written_either(tmp_path, read_only, cache, monkeypatch):
    read_only += [tmp_path / "shared", cache, tmp_path]
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    (written,) = own_depots([tmp_path / "shared"], tmp_path)
    assert written.is_relative_to("/tmp") and not written.is_relative_to(tmp_path)
