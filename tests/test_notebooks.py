"""The notebooks run from top to bottom, and are committed as they ran."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
LONG = {"inverse_problems", "tomography"}
NEEDS = {"images": "sklearn", "inverse_problems": "sklearn", "tomography": "skimage"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_runs(path):
    if path.stem in LONG and "PYINVNETS_LONG_TESTS" not in os.environ:
        pytest.skip("it trains for minutes; PYINVNETS_LONG_TESTS=1 runs it")
    pytest.importorskip(NEEDS.get(path.stem, "numpy"))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": EXAMPLES.parent}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_with_its_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 5


def test_there_is_one():
    assert NOTEBOOKS
