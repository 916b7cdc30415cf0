"""The scripts in examples/ run, on both engines, and what they claim holds."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyinvnets.engines import choice

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"

CLAIMS = {
    "conditional_hint_banana": lambda g: g["divergence"] < 0.1 and max(g["distances"]) < 0.2,
    "ddp": lambda g: g["loss"].item() < 2.3,
    "hint_banana": lambda g: g["divergence"] < 0.05 and g["distance"] < 0.05,
    "hyperbolic": lambda g: g["errors"][64] < 1e-3 and g["after"] < 0.4 * g["before"],
    "irim": lambda g: g["error"] < 0.7 * g["linear_error"] and g["inverse_error"] < 1e-2,
    "jacobian": lambda g: g["dot_error"] < 1e-4 and g["errors"][-1] < 0.7 * g["errors"][0],
    "layers": lambda g: (
        max(error for error in g["errors"].values() if error is not None) < 1e-12
        and all(abs(order - 2) < 0.1 for order in g["orders"].values())
    ),
    "non_amortized_banana": lambda g: g["divergence"] < 0.05,
    "non_amortized_linear_gaussian": lambda g: (
        g["divergence"] < 0.05 and g["mean_error"] < 0.02 and g["covariance_error"] < 0.1
    ),
    "networks": lambda g: max(g["errors"].values()) < 1e-3 and min(g["falls"].values()) > 0.2,
    "parameters": lambda g: (
        max(g["composition_error"], g["copy_error"], g["loaded_error"]) < 1e-6
        and g["gain"] == pytest.approx(g["X"][..., 0].size * np.log(2), rel=1e-5)
    ),
    "pytorch": lambda g: g["loss"].item() < 0,
    "sbi_workflow": lambda g: (
        g["checks"]["ks_pvals"].min() > 1e-3
        and g["log_prob"].mean() > 0.5
        and 0.2 < (g["samples"][:, 0] > 0).float().mean() < 0.8
    ),
    "scikit_learn": lambda g: g["search"].best_params_["noise"] == 0.02 and -1.3 < g["density"].score(g["X"]) < -0.8,
    "tutorial": lambda g: g["loss_l2"][-50:].mean() - g["loss_lgdet"][-50:].mean() < 1.1,
}


def test_every_script_is_here():
    assert sorted(CLAIMS) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


NEEDS = {"ddp": "torch", "pytorch": "torch", "sbi_workflow": "sbi", "scikit_learn": "sklearn"}


@pytest.mark.parametrize("name", CLAIMS)
def test_runs(name, engine, tmp_path, monkeypatch, capsys):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if name in NEEDS and engine == "julia":
        pytest.skip("this script chooses the NumPy engine itself")
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(choice, "_chosen", engine)
    found = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    plt.close("all")

    printed = capsys.readouterr().out
    assert CLAIMS[name](found), printed
    figures = [path.name for path in tmp_path.iterdir()]
    assert all(figure in printed and figure.endswith(".png") for figure in figures)
    assert ("savefig" in (EXAMPLES / f"{name}.py").read_text()) == (len(figures) == 1)


def test_in_two_processes():
    """As torchrun starts it."""
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", EXAMPLES / "ddp.py"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "2 process(es), weights differ by 0.0," in done.stdout, done.stderr
