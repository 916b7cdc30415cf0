"""`python -m pyinvnets validate`: its table, its exit status, and what it does without Julia."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pyinvnets as inv
from helpers.processes import run_without_julia
from pyinvnets.cli.main import main
from pyinvnets.engines.numpy import NumpyEngine
from pyinvnets.engines.numpy.networks.conv1x1 import Conv1x1
from pyinvnets.engines.numpy.networks.residual import ResidualBlock
from pyinvnets.validation import report as validate
from pyinvnets.validation.cases import CASES


@pytest.fixture
def without_julia(monkeypatch):
    monkeypatch.setattr("pyinvnets.engines.julia.ready", lambda: False)


@pytest.fixture
def numpy_twice(monkeypatch):
    """Both sides on the NumPy engine, so that the comparison of engines itself is tried without Julia."""
    monkeypatch.setattr("pyinvnets.engines.julia.ready", lambda: True)
    monkeypatch.setattr("pyinvnets.engines.julia.start", NumpyEngine)


def rows_of(path):
    return json.loads(path.read_text())["rows"]


class TestComparingEngines:
    def test_table(self, numpy_twice, capsys):
        assert main(["validate", "--only", "NetworkGlow"]) == 0
        out = capsys.readouterr().out
        assert [line for line in out.splitlines() if line.startswith("NetworkGlow, split ")]
        assert all(word in out for quantity in validate.QUANTITIES for word in quantity.split())
        assert "bounds: 1e-10 in float64, 2e-04 in float32" in out
        assert out.splitlines()[-1] == "6 ok, 0 wrong, 0 error, 0 skipped"

    def test_json(self, numpy_twice, tmp_path):
        path = tmp_path / "report.json"
        assert main(["validate", "--only", "ActNorm", "--json", str(path)]) == 0
        assert [(row["name"], row["dtype"]) for row in rows_of(path)] == [
            ("ActNorm", "float64"),
            ("ActNorm", "float32"),
        ]
        assert rows_of(path)[0]["differences"] == dict.fromkeys(validate.QUANTITIES, 0.0)

    def test_a_report_that_cannot_be_written(self, numpy_twice, tmp_path, capsys, monkeypatch):
        """Said before anything is compared."""
        monkeypatch.setattr(validate, "engines_rows", lambda only: pytest.fail("compared"))
        assert main(["validate", "--only", "ActNorm", "--json", str(tmp_path / "none" / "r.json")]) == 1
        assert "there is no folder" in capsys.readouterr().err

    def test_only_one_case(self, numpy_twice, capsys):
        assert main(["validate", "--only", "NetworkGlow, dense"]) == 0
        assert "2 ok" in capsys.readouterr().out

    def test_only_what_is_not_there(self, numpy_twice, capsys):
        assert main(["validate", "--only", "Glow"]) == 1
        assert "expected one of ActNorm, AffineLayer" in capsys.readouterr().err

    @pytest.mark.parametrize("value", [1e-6, np.nan])
    def test_wrong_number(self, numpy_twice, monkeypatch, tmp_path, capsys, value):
        """In float64 alone, where the bound is narrower, unless it is not finite."""
        true = validate.gradients
        calls = iter((value, 0) * 2)
        monkeypatch.setattr(validate, "gradients", lambda network: [g + next(calls) for g in true(network)[:1]])
        path = tmp_path / "report.json"
        assert main(["validate", "--only", "Conv1x1", "--json", str(path)]) == 1
        double, single = rows_of(path)
        assert double["status"] == "wrong"
        assert single["status"] == ("wrong" if np.isnan(value) else "ok")
        assert "wrong" in capsys.readouterr().out

    def test_an_engine_that_raises(self, numpy_twice, monkeypatch, capsys):
        def fail(self, *arguments):
            raise RuntimeError("no such method")

        monkeypatch.setattr("pyinvnets.engines.numpy.engine.NumpyEngine.create", fail)
        assert main(["validate", "--only", "Conv1x1"]) == 1
        assert "error: RuntimeError: no such method" in capsys.readouterr().out

    @pytest.mark.julia
    @pytest.mark.parametrize("name", ["ActNorm", "NetworkGlow, split", "NetworkConditionalHINT"])
    def test_julia(self, name):
        assert main(["validate", "--only", name]) == 0

    @pytest.mark.julia
    def test_what_upstream_cannot_do_is_skipped(self, capsys):
        assert main(["validate", "--only", "NetworkMultiScaleHINT, 3-D"]) == 1
        assert "skipped: ValueError" in capsys.readouterr().out


class TestGoldenVectors:
    def test_every_file(self, without_julia, capsys):
        assert main(["validate"]) == 0
        out = capsys.readouterr().out
        assert "Julia is not set up here" in out and "golden vectors" in out
        assert out.splitlines()[-1].endswith("0 wrong, 0 error, 0 skipped")
        (loop,) = (line.split() for line in out.splitlines() if line.startswith("NetworkLoop, additive"))
        assert loop[-2:] == ["2.00", "2.00"], "the orders of the Taylor remainders"
        assert max(map(len, out.splitlines())) <= 100
        assert all(f"\n{kind}, " in out for kind in ("NetworkConditionalHINT", "NetworkMultiScaleHINT"))

    def test_wrong_number(self, without_julia, monkeypatch, capsys):
        monkeypatch.setattr(validate, "gradients", lambda network: [p.grad * 1.001 for p in inv.get_params(network)])
        assert main(["validate", "--only", "ActNorm"]) == 1
        assert "1 wrong" in capsys.readouterr().out

    def test_every_kind_is_covered(self, without_julia, tmp_path):
        path = tmp_path / "report.json"
        assert main(["validate", "--json", str(path)]) == 0
        assert {validate.kind_of(row["name"]) for row in rows_of(path)} == set(map(validate.kind_of, CASES))

    def test_wrong_gradient_of_what_has_no_file(self, without_julia, monkeypatch, capsys):
        right = ResidualBlock.backward
        monkeypatch.setattr(ResidualBlock, "backward", lambda self, *given: -right(self, *given))
        assert main(["validate", "--only", "SummarizedNet"]) == 1
        assert "2 wrong" in capsys.readouterr().out

    def test_wrong_inverse_of_what_has_no_file(self, without_julia, monkeypatch, capsys):
        monkeypatch.setattr(Conv1x1, "inverse", Conv1x1.forward)
        assert main(["validate", "--only", "NetworkSpline"]) == 1
        assert "2 wrong" in capsys.readouterr().out

    def test_where_julia_cannot_be_found(self, tmp_path):
        code = "import sys; from pyinvnets.cli.main import main; sys.exit(main(['validate', '--only', 'NetworkGlow']))"
        done = run_without_julia(code, tmp_path)
        assert done.returncode == 0, done.stderr
        assert "NetworkGlow, glow_image" in done.stdout
        assert "case" not in done.stderr  # a bar, which is for a terminal
        assert "juliacall" not in done.stderr


def test_a_difference_is_relative_to_the_largest_expected():
    assert validate.relative_error(np.array([1.0, 4.1]), np.array([1.0, 4.0])) == pytest.approx(0.025)
    assert validate.relative_error(0.3, 0.1) == pytest.approx(0.2)
    assert validate.relative_error(3.0, 2.0) == pytest.approx(0.5)
    assert np.isnan(validate.relative_error(np.array([np.nan, 1]), np.ones(2)))
    with pytest.raises(ValueError, match="shape"):
        validate.relative_error(np.ones(2), np.ones(3))


def test_every_case_has_the_name_of_its_kind():
    assert all(validate.kind_of(name) == case.make(engine="numpy").title for name, case in CASES.items())


def test_the_table_is_no_wider_than_a_terminal():
    rows = [
        validate.Row("NetworkMultiScaleConditionalHINT, multiscale_conditional_hint_split", "float64", "wrong"),
        validate.Row("reverse(NetworkMultiScaleConditionalHINT)", "float32"),
        validate.Row("NetworkGlow", "", "skipped", message="no reason " * 30),
        validate.Row("NetworkGlow", "float32", "error", message="ValueError: " + "what was wrong " * 10),
    ]
    for row in rows:
        row.differences = dict.fromkeys(validate.QUANTITIES, 1.2e-13)
    lines = validate.table(rows).splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("1.2e-13" in line for line in lines) == 2
