"""Disks that are full or cannot be written to."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import pyinvnets as inv
from pyinvnets.cli.main import main

GLOW = "NetworkGlow(2, 8, 1, 2)"
TRAIN = ["train", "x.npy", "--network", GLOW, "--epochs", "2", "--seed", "1", "--engine", "numpy"]


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    """A function that gives a small disk of its own, of so many kibibytes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYINVNETS_ENGINE", "numpy")
    np.save("x.npy", np.random.default_rng(0).standard_normal((400, 2)))
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root of Linux may mount a disk")
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
        return disk

    yield mount
    subprocess.run(["umount", disk], capture_output=True, check=False)


def full(disk):
    """Fill what is left."""
    with contextlib.suppress(OSError), open(disk / "filler", "ab", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    assert os.statvfs(disk).f_bfree == 0


def fails(capsys, *line):
    capsys.readouterr()
    assert main(list(map(str, line))) == 1
    out, err = capsys.readouterr()
    assert "Traceback" not in err and not [name for name in os.listdir() if name.startswith(".")]
    return out, err.splitlines()[-1]


def test_a_full_disk(mounted, capsys):
    disk = mounted("size=64k")
    assert main([*TRAIN, "--output", "w"]) == 0
    inv.save(inv.load("w", engine="numpy"), disk / "w")
    old = (disk / "w").read_bytes()
    full(disk)
    for line in (
        [*TRAIN, "--output", disk / "v"],
        [*TRAIN, "--output", disk / "w", "--overwrite"],
        [*TRAIN, "--output", "v", "--checkpoint", disk / "c"],
        ["sample", "w", "-n", "5000", "--output", disk / "s.npy"],
        ["log-prob", "w", "x.npy", "--output", disk / "l.npy"],
    ):
        _, said = fails(capsys, *line)
        assert re.fullmatch(rf"pyinvnets {line[0]}: {disk}/\S+: No space left on device", said)
        assert sorted(os.listdir(disk)) == ["filler", "w"] and (disk / "w").read_bytes() == old
    assert not os.path.exists("v")


def test_a_disk_that_fills_up_while_training(mounted, capsys):
    """Some room at the beginning, but not for all: what was learnt is kept elsewhere, and the place is printed."""
    disk = mounted("size=4k")
    out, said = fails(capsys, *TRAIN, "--output", disk / "w", "--history", "h.csv")
    assert said == f"{disk}/w: No space left on device"
    place = re.search(r"wrote (\S+) and h.csv", out)[1]
    assert main([*TRAIN, "--output", "expected"]) == 0
    expected = inv.load("expected", engine="numpy").state_dict()
    for name, value in inv.load(place, engine="numpy").state_dict().items():
        np.testing.assert_array_equal(value, expected[name])
    os.unlink(place)
    os.rmdir(os.path.dirname(place))
    out, said = fails(capsys, *TRAIN, "--output", "w", "--checkpoint", disk / "c", "--history", "i.csv")
    assert said == f"{disk}/c: No space left on device" and "wrote w" in out
    assert inv.load("w", engine="numpy").spatial == (1, 1) and os.listdir(disk) == []


def test_a_disk_that_cannot_be_written_to(mounted, capsys):
    disk = mounted("size=64k")
    assert main([*TRAIN, "--output", str(disk / "w")]) == 0
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for line in (
        [*TRAIN, "--output", disk / "w", "--overwrite"],
        [*TRAIN, "--output", "v", "--checkpoint", disk / "c"],
        [*TRAIN, "--output", "v", "--history", disk / "h.csv"],
        ["sample", disk / "w", "-n", "5", "--output", disk / "s.npy"],
        ["log-prob", disk / "w", "x.npy", "--output", disk / "l.npy"],
    ):
        _, said = fails(capsys, *line)
        assert said.endswith(": Read-only file system")
    assert not os.path.exists("v") and sorted(os.listdir(disk)) == ["w", "w-history.csv"]
    assert main(["sample", str(disk / "w"), "-n", "5", "--output", "s.npy"]) == 0
