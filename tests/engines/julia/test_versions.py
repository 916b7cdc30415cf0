"""The versions that are asked for, tried, and written down: one place each, and in step."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from helpers.processes import ROOT
from pyinvnets.engines.julia import installation, runtime, versions

GUIDE = (ROOT / "docs" / "engines.md").read_text()


def test_juliacall_is_a_range_that_admits_what_was_tried():
    (text,) = re.findall(r'"(juliacall[<>=!~][^"]*)"', (ROOT / "pyproject.toml").read_text())
    admitted = Requirement(text).specifier
    assert all(version in admitted for version in versions.TRIED["juliacall"])
    assert "0.9.35" not in admitted and "0.9.36" not in admitted and "0.10.0" not in admitted


def test_julia_is_of_a_minor_version_that_was_tried():
    """What juliapkg.json admits is looked up by juliapkg itself."""
    compat = pytest.importorskip("juliapkg.compat")
    asked = compat.Compat.parse(installation.requirements()["julia"])
    admits = lambda text: compat.Version.parse(text) in asked  # noqa: E731
    assert all(admits(version) for version in versions.TRIED["Julia"])
    assert not admits("1.9.4") and not admits("1.11.0") and not admits("1.12.1")


def test_the_guide_names_every_package():
    assert all(name in GUIDE for name in installation.requirements()["packages"])


def test_what_was_not_tried_is_said():
    assert versions.remark("juliacall", "0.9.37") == "" and versions.remark("Unheard", "1.0.0") == ""
    assert versions.remark("juliacall", "0.9.38") == "; tried with 0.9.34 and 0.9.37"
    with pytest.warns(UserWarning, match=r"Julia 1\.11\.2.*1\.10\.8"):
        runtime.check_julia("1.11.2")
    runtime.check_julia("1.10.9")
