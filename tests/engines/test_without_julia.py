"""What happens where Julia is missing, tried in processes that cannot find it."""

from __future__ import annotations

import pytest

from helpers.processes import run_without_julia


def test_auto_takes_numpy_and_says_so_once(tmp_path):
    code = "import pyinvnets as inv; print(inv.ActNorm(2).engine, inv.Conv1x1(2).engine, inv.sample_banana(2).shape)"
    done = run_without_julia(code, tmp_path)
    assert done.stdout.strip() == "numpy numpy (1, 1, 2, 2)", done.stderr
    assert done.stderr.count("UserWarning") == 1
    assert "python -m pyinvnets setup" in done.stderr


@pytest.mark.parametrize("line", ["inv.ActNorm(2)", "inv.sample_banana(2)", "inv.VectorFlow(2)", "inv.mse(X, X)"])
def test_the_warning_points_at_the_users_line(tmp_path, line):
    script = tmp_path / "script.py"
    script.write_text(f"import numpy as np, pyinvnets as inv\nX = np.zeros((1, 1, 2, 3), np.float32)\n{line}\n")
    done = run_without_julia(f"import runpy; runpy.run_path({str(script)!r})", tmp_path)
    assert done.stderr.startswith(f"{script}:3: UserWarning: pyinvnets uses its NumPy engine"), done.stderr


def test_julia_is_a_clear_error(tmp_path):
    code = "import pyinvnets as inv\ntry: inv.ActNorm(2, engine='julia')\nexcept inv.JuliaError as error: print(error)"
    done = run_without_julia(code, tmp_path)
    assert "Julia is not set up" in done.stdout and "python -m pyinvnets setup" in done.stdout, done.stderr
    assert "juliacall" not in done.stderr


def test_a_project_without_the_package(tmp_path):
    (tmp_path / "Manifest.toml").write_text("[[deps.Flux]]\n")
    julia = tmp_path / "julia"
    julia.touch(0o755)
    code = "import pyinvnets as inv\ntry: inv.ActNorm(2, engine='julia')\nexcept inv.JuliaError as error: print(error)"
    done = run_without_julia(code, tmp_path, PYTHON_JULIACALL_EXE=str(julia), PYTHON_JULIACALL_PROJECT=str(tmp_path))
    assert "has no InvertibleNetworks" in done.stdout, done.stderr


def test_half_of_juliacalls_settings(tmp_path):
    code = "import pyinvnets as inv; print(inv.ActNorm(2).engine)"
    done = run_without_julia(code, tmp_path, PYTHON_JULIACALL_EXE="/nowhere/julia")
    assert done.stdout.strip() == "numpy", done.stderr


def test_doctor_names_what_is_missing(tmp_path):
    done = run_without_julia("import sys; from pyinvnets.cli.main import main; sys.exit(main(['doctor']))", tmp_path)
    assert done.returncode == 1
    assert "python -m pyinvnets setup" in done.stdout
    assert "pywt" in done.stdout


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("inv.init(threads=0)", "positive integer"),
        ("inv.init(threads='many')", "positive integer"),
        ("inv.init(sysimage='/nowhere/image.so')", "no system image"),
    ],
)
def test_options(call, message, tmp_path):
    code = f"import pyinvnets as inv\ntry: {call}\nexcept (ValueError, FileNotFoundError) as error: print(error)"
    assert message in run_without_julia(code, tmp_path).stdout
