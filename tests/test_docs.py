"""docs/networks.md against the declarations that it is written from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import pyinvnets as inv

SCRIPT = Path(__file__).parents[1] / "docs" / "networks.py"


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


@pytest.mark.parametrize("name", ["NetworkConditionalGlow", "NetworkMultiScaleHINT", "HyperbolicLayer", "reverse"])
def test_upstreams_limits_are_named(script, name):
    (row,) = (line for line in script.text().splitlines() if line.startswith(f"| [{name}]"))
    assert "NumPy engine only" in row
