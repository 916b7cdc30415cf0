"""The main job, by its command line."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from pyinvnets import load
from pyinvnets.cli.main import main
from pyinvnets.cli.tutorial import energy_distance

FIGURES = {"target", "training_log", "latent", "latent_to_data", "generated"}


def test_tutorial(engine, tmp_path, capsys):
    status = main(["tutorial", "--engine", engine, "--iterations", "60", "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert status == 0
    assert "Iteration=50/60; f l2 = " in printed
    assert "best possible on average: 1.000" in printed
    assert "Energy distance" in printed
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {f"{f}.png" for f in FIGURES} | {"losses.csv", "weights.safetensors"}
    with (tmp_path / "out" / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    assert float(rows[-1]["objective"]) == pytest.approx(float(rows[-1]["l2"]) - float(rows[-1]["lgdet"]))
    assert float(rows[-1]["objective"]) < float(rows[0]["objective"])
    G = load(tmp_path / "out" / "weights.safetensors", engine=engine)
    assert repr(G) == f'NetworkGlow(n_in=2, n_hidden=16, L=1, K=10, engine="{engine}")'


def test_more_updates_than_batches(engine, tmp_path):
    arguments = ["--iterations", "5", "--batch-size", "20000", "--output", str(tmp_path)]
    assert main(["tutorial", "--engine", engine, *arguments]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--iterations", "0"], "at least 1, got 0"),
        (["--learning-rate", "nan"], "positive finite number, got nan"),
        (["--batch-size", "1"], "from 2 to 60000"),
        (["--engine", "torch"], "invalid choice"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["tutorial", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_in_the_way(engine, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["tutorial", "--engine", engine, "--output", str(tmp_path / "file")]) == 1
    assert "pyinvnets tutorial:" in capsys.readouterr().err


def test_a_former_run_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = ["tutorial", "--engine", "numpy", "--iterations", "1", "--batch-size", "20"]
    assert main(short) == 0
    first = Path("tutorial-output/weights.safetensors").read_bytes()
    assert main([*short, "--seed", "2"]) == 0
    assert "weights.safetensors are in tutorial-output-2" in capsys.readouterr().out
    assert main([*short, "--seed", "2", "--output", "tutorial-output"]) == 1
    assert "exists and is kept; write --overwrite to replace it" in capsys.readouterr().err
    assert Path("tutorial-output/weights.safetensors").read_bytes() == first
    assert main([*short, "--seed", "2", "--output", "tutorial-output", "--overwrite"]) == 0
    assert Path("tutorial-output/weights.safetensors").read_bytes() != first


def test_energy_distance_tells_samples_apart():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((2, 2, 1000))
    assert abs(energy_distance(X, Y)) < 0.01
    assert energy_distance(X, Y + 0.5) > 0.05
    assert energy_distance(X, 2 * Y) > 0.05


def test_matplotlib_is_not_left_with_open_figures():
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
