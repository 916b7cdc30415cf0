"""The package as it is installed and imported."""

from __future__ import annotations

import os
import zipfile

import pyinvnets as inv
from helpers.processes import ROOT, run_python


def run(code, **environment):
    return run_python(code, environment=os.environ | environment)


def test_import_is_light():
    """No Julia and no heavy package at import; benchmarks/start.py measures the time."""
    done = run(
        "import sys, pyinvnets; "
        "print([m for m in ('juliacall', 'matplotlib', 'scipy', 'pywt', 'sklearn', 'torch') if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_dir_shows_the_public_names_alone():
    done = run("import pyinvnets as inv; print(*dir(inv))")
    names = done.stdout.split()
    assert {"NetworkGlow", "fit", "plotting", "sklearn", "__version__"} <= set(names), done.stderr
    assert set(names) - set(inv.__all__) <= {"diagnostics", "inverse_problems", "plotting", "sklearn", "torch"}
    assert all(hasattr(inv, name) for name in names)


def test_modules_come_when_asked_for():
    done = run(
        "import sys, pyinvnets as inv; print('pyinvnets.plotting' in sys.modules, inv.plotting.training_log.__name__); "
        "print(inv.sklearn.FlowDensity.__name__); inv.plottin"
    )
    assert done.stdout.split() == ["False", "training_log", "FlowDensity"]
    assert "AttributeError: module 'pyinvnets' has no attribute 'plottin'" in done.stderr


def test_environment_variable_chooses_the_engine():
    done = run("import pyinvnets as inv; print(inv.ActNorm(2))", PYINVNETS_ENGINE="numpy")
    assert done.stdout.strip() == 'ActNorm(k=2, engine="numpy")'
    assert "UserWarning" not in done.stderr
    done = run("import pyinvnets as inv; inv.ActNorm(2)", PYINVNETS_ENGINE="torch")
    assert "the environment variable PYINVNETS_ENGINE must be" in done.stderr


def test_use_engine():
    done = run("import pyinvnets as inv; inv.use_engine('numpy'); print(inv.ActNorm(2))", PYINVNETS_ENGINE="torch")
    assert done.stdout.strip() == 'ActNorm(k=2, engine="numpy")'


def test_wheel_holds_the_julia_side_and_golden_vectors(tmp_path):
    code = (
        "from hatchling.builders.wheel import WheelBuilder; "
        f"print(*WheelBuilder({str(ROOT)!r}).build(directory={str(tmp_path)!r}, versions=['standard']))"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    files = zipfile.ZipFile(done.stdout.split()[-1])
    names = files.namelist()
    assert {"pyinvnets/juliapkg.json", "pyinvnets/engines/julia/PyInvNets/src/PyInvNets.jl"} <= set(names)
    assert {"pyinvnets/engines/numpy/engine.py", "pyinvnets/py.typed"} <= set(names)
    (entry_points,) = (files.read(n).decode() for n in names if n.endswith("entry_points.txt"))
    assert "pyinvnets = pyinvnets.cli.main:main" in entry_points
    (licence,) = (files.read(n).decode() for n in names if n.endswith("LICENSE"))
    assert licence == (ROOT / "LICENSE").read_text()
    assert not [n for n in names if n.startswith(("tests/", "examples/"))]
    golden = [n for n in names if n.startswith("pyinvnets/validation/vectors/")]
    assert golden and sum(files.getinfo(n).file_size for n in golden) < 2_500_000
