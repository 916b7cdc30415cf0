"""The containers hold what juliapkg.json asks for, and the same in both; nothing of it is written down twice."""

from __future__ import annotations

import re

import pytest
from packaging.specifiers import SpecifierSet

from helpers.processes import ROOT
from pyinvnets.engines.julia import installation

DOCKER = (ROOT / "containers" / "Dockerfile").read_text()
APPTAINER = (ROOT / "containers" / "pyinvnets.def").read_text()
BOTH = pytest.mark.parametrize("text", [DOCKER, APPTAINER], ids=["docker", "apptainer"])


def variables(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\s*(?:ENV|export) (\w+)=(.+)$", text, re.MULTILINE))


@BOTH
def test_julia_is_the_one_that_is_asked_for(text):
    (tag,) = re.findall(r"^(?:FROM|From:) julia:([\d.]+)-", text, re.MULTILINE)
    assert installation.requirements()["julia"] == f"~{tag}"


@BOTH
def test_python_is_admitted(text):
    (tag,) = re.findall(r"^(?:FROM|From:) python:([\d.]+)-", text, re.MULTILINE)
    (admitted,) = re.findall(r'requires-python = "(.*)"', (ROOT / "pyproject.toml").read_text())
    assert tag in SpecifierSet(admitted)


@BOTH
def test_packages_come_from_setup_alone(text):
    assert "python -m pyinvnets setup" in text and "pip install --no-cache-dir /opt/pyinvnets" in text
    assert not [name for name in installation.requirements()["packages"] if name in text]


def test_both_set_the_same():
    assert variables(DOCKER) == variables(APPTAINER)
    assert {"PYTHON_JULIAPKG_EXE", "PYTHON_JULIAPKG_PROJECT", "JULIA_DEPOT_PATH"} <= variables(DOCKER).keys()


def test_the_clusters_page_has_their_processors():
    page = (ROOT / "docs" / "clusters.md").read_text()
    assert f"JULIA_CPU_TARGET={variables(DOCKER)['JULIA_CPU_TARGET']}" in page
