"""The command line under mpirun: the results of one process."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv
from helpers.ranks import needs_ranks, run_ranks
from pyinvnets.cli import processes
from pyinvnets.cli.main import main

ENGINE = ("--engine", "numpy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    X = inv.sample_banana(300, seed=1, engine="numpy")
    np.save(folder / "banana.npy", X[0, 0].T)
    np.save(folder / "conditions.npy", X[0, 0, :, :3].T)
    G = inv.NetworkConditionalGlow(2, 2, 8, 1, 2, engine="numpy", seed=1)
    G.forward(X, X)
    inv.save(G, folder / "conditional.safetensors")
    return folder


@needs_ranks
def test_train(folder, capsys):
    command = ("train", folder / "banana.npy", "--network", "NetworkGlow(2, 8, 1, 2)", *ENGINE, "--epochs", "1")
    done = run_ranks(2, "-m", "pyinvnets", *command, "--seed", "1", "--output", folder / "two.safetensors")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == done.stderr.count("Training") == done.stderr.count("epoch 1:") == 1
    assert main([*map(str, command), "--seed", "1", "--output", str(folder / "one.safetensors")]) == 0
    # In float32 Adam turns rounding into steps where a gradient is nearly zero; test_ranks.py compares whole trainings.
    one, two = (np.genfromtxt(folder / f"{n}-history.csv", delimiter=",", names=True) for n in ("one", "two"))
    assert len(one) == len(two) == 3
    np.testing.assert_allclose(two["objective"][0], one["objective"][0], rtol=1e-5)


@needs_ranks
def test_sample(folder):
    command = ("sample", folder / "conditional.safetensors", "-n", "20", "--condition", folder / "conditions.npy")
    command = (*command, "--each", "--seed", "1", "--batch-size", "7", *ENGINE, "--output")
    done = run_ranks(2, "-m", "pyinvnets", *command, folder / "two.npy")
    assert done.returncode == 0, done.stderr
    assert main([*map(str, command), str(folder / "one.npy")]) == 0
    assert np.load(folder / "one.npy").shape == (20, 3, 2)
    np.testing.assert_array_equal(np.load(folder / "two.npy"), np.load(folder / "one.npy"))


@needs_ranks
def test_log_prob(folder, capsys):
    data = folder / "banana.npy"
    command = ("log-prob", folder / "conditional.safetensors", data, "--condition", data, "--batch-size", "70", *ENGINE)
    done = run_ranks(2, "-m", "pyinvnets", *command)
    assert done.returncode == 0, done.stderr
    assert main([*map(str, command)]) == 0
    assert done.stdout == capsys.readouterr().out


@needs_ranks
@pytest.mark.julia
def test_on_the_julia_engine(folder, capsys):
    julia = ("--engine", "julia", "--seed", "1")
    train = ("train", folder / "banana.npy", "--network", "NetworkGlow(2, 8, 1, 2)", "--epochs", "1", *julia)
    sample = ("sample", folder / "julia-two.safetensors", "-n", "20", "--batch-size", "7", *julia)
    log_prob = ("log-prob", folder / "julia-two.safetensors", folder / "banana.npy", "--batch-size", "70", *julia[:2])
    told = {}
    for command, suffix in ((train, "safetensors"), (sample, "npy"), (log_prob, None)):
        two, one = ((() if suffix is None else ("--output", folder / f"julia-{n}.{suffix}")) for n in ("two", "one"))
        done = run_ranks(2, "-m", "pyinvnets", *command, *two)
        assert done.returncode == 0, done.stderr
        assert main([*map(str, command), *map(str, one)]) == 0
        told[command[0]] = done.stdout, capsys.readouterr().out
    one, two = (np.genfromtxt(folder / f"julia-{n}-history.csv", delimiter=",", names=True) for n in ("one", "two"))
    np.testing.assert_allclose(two["objective"][0], one["objective"][0], rtol=1e-5)
    np.testing.assert_array_equal(np.load(folder / "julia-two.npy"), np.load(folder / "julia-one.npy"))
    assert told["log-prob"][0] == told["log-prob"][1]


@needs_ranks
def test_one_message(folder):
    done = run_ranks(2, "-m", "pyinvnets", "train", folder / "missing.npy", *ENGINE)
    assert done.returncode == 1
    assert done.stderr.count("No such file or directory") == 1


def test_an_mpi_that_is_not_the_launchers(monkeypatch, capsys):
    """Each process would do all the work."""
    pytest.importorskip("mpi4py")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(RuntimeError, match=r"4 processes were started, but mpi4py knows of one.*srun --mpi=pmix"):
        processes.world()


def test_no_launcher(monkeypatch):
    for name in processes.SIZES:
        monkeypatch.delenv(name, raising=False)
    assert processes.world() is None


class TestShares:
    """`sample(share=...)`: what one process draws, in parts."""

    def draw(self, network, n, *arguments, batch_size=3, **given):
        whole = network.sample(n, *arguments, seed=5, batch_size=batch_size, **given)
        for ranks in (1, 2, 5):
            parts = [
                network.sample(n, *arguments, seed=5, batch_size=batch_size, share=(rank, ranks), **given)
                for rank in range(ranks)
            ]
            yield whole, parts

    def test_flow(self, engine):
        G = inv.NetworkGlow(2, 8, 1, 2, engine=engine, seed=1)
        G.forward(inv.sample_banana(50, seed=1, engine="numpy"))
        for whole, parts in self.draw(G, 11):
            np.testing.assert_array_equal(np.concatenate(parts, axis=-1), whole)

    def test_condition_for_each_sample(self, engine):
        X = inv.sample_banana(11, seed=1, engine="numpy")
        G = inv.NetworkConditionalGlow(2, 2, 8, 1, 2, engine=engine, seed=1)
        G.forward(X, X)
        for whole, parts in self.draw(G, 11, X):
            np.testing.assert_array_equal(np.concatenate(parts, axis=-1), whole)

    def test_pair(self, engine):
        X = inv.sample_banana(11, seed=1, engine="numpy")
        G = inv.NetworkConditionalHINT(2, 8, 2, engine=engine, seed=1)
        G.forward(X, X)
        for whole, parts in self.draw(G, 11, spatial=(1, 1)):
            for i in range(2):
                np.testing.assert_array_equal(np.concatenate([part[i] for part in parts], axis=-1), whole[i])
        given = [G.sample_given(11, X, seed=5, batch_size=3, share=(rank, 2)) for rank in range(2)]
        np.testing.assert_array_equal(np.concatenate(given, axis=-1), G.sample_given(11, X, seed=5, batch_size=3))

    @pytest.mark.parametrize("share", [(2, 2), (-1, 2), (0,), 1, (0.0, 2)])
    def test_bad(self, share):
        G = inv.NetworkGlow(2, 8, 1, 2, engine="numpy", seed=1)
        G.forward(inv.sample_banana(50, seed=1, engine="numpy"))
        with pytest.raises(ValueError, match=r"share must be a process's number"):
            G.sample(4, share=share)
