"""docs/networks.md against the declarations that it is written from, and CONTRIBUTING.md against what runs."""

from __future__ import annotations

import importlib.util
import re
import traceback
from itertools import groupby
from pathlib import Path

import pytest

import pyinvnets as inv
from pyinvnets.engines.numpy.networks import glow

SCRIPT = Path(__file__).parents[1] / "docs" / "networks.py"
SILENCE = "arrays/quiet.py"
"""Calls what it is given and keeps NumPy from warning; CONTRIBUTING.md names it beside the way."""


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("networks_table", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_in_step(script):
    written = SCRIPT.with_suffix(".md").read_text(encoding="utf-8")
    assert written == script.text(), "write it anew with `python docs/networks.py`"


def test_nothing_is_left_out(script):
    public = {
        name for name in inv.__all__ if isinstance(kind := getattr(inv, name), type) and hasattr(kind, "upstream")
    }
    rows = {line.split("]")[0][3:] for line in script.text().splitlines() if line.startswith("| [")}
    assert rows == public | {"reverse"}


def test_no_cell_is_empty(script):
    for line in script.text().splitlines():
        if line.startswith("| ["):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == 6 and all(cells), line
            assert cells[-1].endswith("."), f"the source is cut short: {cells[-1]}"


@pytest.mark.parametrize("name", ["NetworkConditionalGlow", "NetworkMultiScaleHINT", "HyperbolicLayer"])
def test_upstreams_limits_are_named(script, name):
    (row,) = (line for line in script.text().splitlines() if line.startswith(f"| [{name}]"))
    assert "NumPy engine only" in row


@pytest.mark.parametrize(("call", "files"), [("forward", 4), ("log_prob", 5)])
def test_the_way_of_an_array(monkeypatch, call, files):
    """CONTRIBUTING.md lists the files between the user's line and the arithmetic, one after the other."""
    text = (SCRIPT.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(rf"^From `G\.{call}\(X\)`.*?\n\n(.*?)\n\n", text, flags=re.M | re.S).group(1)
    walk = re.findall(r"^\d\. `(\S+)`", section, flags=re.M)

    X = inv.sample_banana(10, engine="numpy", seed=1)
    G = inv.NetworkGlow(2, 4, 1, 1, engine="numpy", seed=1)
    G.forward(X)
    passed = []
    arithmetic = glow.NetworkGlow.forward

    def noting(self, *arrays, **given):
        passed.extend(Path(frame.filename) for frame in traceback.extract_stack())
        return arithmetic(self, *arrays, **given)

    monkeypatch.setattr(glow.NetworkGlow, "forward", noting)
    getattr(G, call)(X)
    package = Path(inv.__file__).parent
    on_the_way = [str(path.relative_to(package)) for path in passed if path.is_relative_to(package)]
    on_the_way = [name for name in on_the_way if name != SILENCE]
    assert [name for name, _ in groupby(on_the_way)] == walk[:-1]
    assert walk[-1] == "engines/numpy/networks/glow.py" and len(walk) == files
