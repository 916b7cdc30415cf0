"""A few hundred mutated files of each kind; `python -m tests.attacks.files` makes as many as one wants."""

from __future__ import annotations

import sys

import pytest

from attacks import files


@pytest.mark.skipif(sys.platform == "win32", reason="time and memory of a process are limited as POSIX has it")
@pytest.mark.parametrize("kind", files.KINDS)
def test_whatever_is_in_a_file(kind):
    """Read or refused, in a second, in 200 MB, with a documented error and no network changed."""
    outcomes, failures = files.run(kind, seed=1, first=0, tries=300)
    assert not failures
    assert outcomes["refused"] > 100 and outcomes.total() == 300


class Careless(files.Kind):
    """A reader that does everything wrong."""

    def __init__(self, what):
        self.what = what

    def read(self, path, which):
        if self.what == "hang":
            while True:
                pass
        if self.what == "memory":
            assert b"".join([b"x" * 2**20] * 300)
        if self.what == "undocumented":
            raise KeyError("x")
        if self.what == "unnamed file":
            raise ValueError("something is wrong")


@pytest.mark.parametrize("what", ["hang", "memory", "undocumented", "unnamed file"])
def test_what_is_wrong_is_seen(what, tmp_path, monkeypatch):
    """The suite's own eyes."""
    import signal

    monkeypatch.setattr(files, "SECONDS", 0.2 if what == "hang" else 10)
    handler = signal.signal(signal.SIGPROF, files.expire)
    try:
        (tmp_path / "f").touch()
        files.resident_peak()
        assert files.outcome(Careless(what), tmp_path / "f", 0).startswith(what)
    finally:
        signal.signal(signal.SIGPROF, handler)
