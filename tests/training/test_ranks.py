"""`fit` on several ranks against one: the same weights, and one end for all. What runs there is in on_ranks.py."""

from __future__ import annotations

import pickle
import re
import time
from pathlib import Path

import numpy as np
import pytest

import pyinvnets as inv
from helpers.ranks import needs_ranks, run_ranks
from training import on_ranks

PROGRAM = Path(__file__).with_name("on_ranks.py")
SAME = [case.__name__ for case in on_ranks.SAME]
ENDS = [case.__name__ for case in on_ranks.ENDS]


def results(number: int, engine: str, names: list[str], folder: Path) -> list[dict]:
    """What each rank gives."""
    done = run_ranks(number, PROGRAM, folder, engine, *names, timeout=300)
    assert done.returncode == 0, done.stderr
    return [pickle.loads((folder / f"{number}-{rank}.pickle").read_bytes()) for rank in range(number)]


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def ranks(request, tmp_path_factory):
    return results(request.param, "numpy", SAME + ENDS, tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return on_ranks.run(tmp_path_factory.mktemp("alone"), "numpy", None, SAME)


def check_same(of_ranks: list[dict], alone: dict, dtype: str) -> None:
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    first = of_ranks[0]
    for name in ("weights", "objective", "validation"):
        np.testing.assert_allclose(first[name], alone[name], rtol=tolerance, atol=tolerance, err_msg=name)
    for name in ("samples", "dimensions", "stopped"):
        assert first[name] == alone[name]
    for other in of_ranks[1:]:
        for name in first:
            np.testing.assert_array_equal(other[name], first[name], err_msg=name)


@needs_ranks
@pytest.mark.parametrize("name", SAME)
def test_the_same_as_alone(ranks, alone, name):
    check_same([rank[name] for rank in ranks], alone[name], "float32" if name == "in_float32" else "float64")


def test_the_cases_are_what_they_say(alone):
    assert alone["with_all"]["samples"][-1] == 1
    assert alone["with_all"]["stopped"].startswith("no smaller validation objective")
    assert alone["callback"]["stopped"] == "the callback ended it"


@needs_ranks
class TestEnds:
    """Something happens on one rank alone."""

    def test_not_finite(self, ranks):
        for each in (rank["nan"] for rank in ranks):
            assert each["stopped"].startswith("the objective of update 4 is nan")
            assert len(each["objective"]) == 3
            np.testing.assert_array_equal(each["weights"], ranks[0]["nan"]["weights"])
        assert [rank["nan"]["warned"] for rank in ranks] == [1] + [0] * (len(ranks) - 1)

    @pytest.mark.parametrize("name", ["exception", "exception_in_gradients"])
    def test_exception(self, ranks, name):
        assert len({rank[name]["error"] for rank in ranks}) == 1
        assert ranks[0][name]["error"].startswith("LookupError: ")
        last = len(ranks) - 1
        assert [rank[name]["told"] for rank in ranks] == [last] * last + [None]

    def test_interrupt(self, ranks):
        for each in (rank["interrupted"] for rank in ranks):
            assert each["stopped"] == "interrupted"
            assert len(each["objective"]) == 4
            np.testing.assert_array_equal(each["weights"], ranks[0]["interrupted"]["weights"])

    def test_other_arguments(self, ranks):
        for rank in ranks:
            assert "rank 1 has batch_size = 51" in rank["other_arguments"]["error"]
            assert "give all samples to every rank" in rank["other_samples"]["error"]

    def test_bad_samples(self, ranks):
        for rank in ranks:
            assert rank["bad_samples"]["error"] == "fit: X: sample 7, counted from 0, is not finite in float64"

    def test_no_checkpoint(self, ranks):
        for rank in ranks:
            assert rank["full_disk"]["error"] == "FileNotFoundError"


TRAINING = """
import os, signal, sys
import numpy as np
from mpi4py import MPI
import pyinvnets as inv
from pyinvnets.training.losses import MaximumLikelihood

comm, (path, output, end) = MPI.COMM_WORLD, sys.argv[1:]

class Fatal(MaximumLikelihood):
    left = 12 if end != "none" and comm.rank == 1 else -1

    def evaluate(self, network, batch):
        self.left -= 1
        if self.left == 0 and end == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.left == 0:
            raise LookupError("this rank has had enough")
        return super().evaluate(network, batch)

G = inv.NetworkGlow(2, 8, 1, 3, engine="numpy", seed=1)
X = inv.sample_banana(200, seed=1, engine="numpy")
resume = path if os.path.exists(path) else None
history = inv.fit(G, X, epochs=4, batch_size=50, noise=0.1, seed=3, objective=Fatal(), checkpoint=path, resume=resume,
                  progress=False, comm=comm)
if comm.rank == 0:
    np.savez(output, epochs=history.epochs, **{p.name: p.data for p in inv.get_params(G)})
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "training.py"
    path.write_text(TRAINING)
    return path


@needs_ranks
@pytest.mark.slow
def test_killed_and_resumed(program, tmp_path):
    start = time.monotonic()
    killed = run_ranks(2, program, tmp_path / "run.ckpt", tmp_path / "killed.npz", "kill")
    assert time.monotonic() - start < 60
    assert killed.returncode != 0
    assert re.search(r"signal 9|Killed|KILLED", killed.stderr + killed.stdout)
    assert (tmp_path / "run.ckpt").exists() and not (tmp_path / "killed.npz").exists()

    for path, output in (("run.ckpt", "resumed.npz"), ("whole.ckpt", "whole.npz")):
        done = run_ranks(2, program, tmp_path / path, tmp_path / output, "none")
        assert done.returncode == 0, done.stderr
    resumed, whole = np.load(tmp_path / "resumed.npz"), np.load(tmp_path / "whole.npz")
    for name in whole.files:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


@needs_ranks
def test_resumed_on_another_number(tmp_path):
    """What two ranks began, one goes on with."""
    (two, _) = results(2, "numpy", ["resumed"], tmp_path)
    G = on_ranks.glow()
    checkpoint = tmp_path / "resumed-2.ckpt"
    history = on_ranks.fit(G, on_ranks.banana(), epochs=4, resume=checkpoint, noise=0.05)
    check_same([two["resumed"]], on_ranks.result(G, history), "float64")


@needs_ranks
def test_one_message(program, tmp_path):
    ended = run_ranks(2, program, tmp_path / "run.ckpt", tmp_path / "output.npz", "raise")
    assert ended.returncode != 0
    assert ended.stderr.count("Traceback") == ended.stderr.count("this rank has had enough\n") == 1


def test_no_communicator():
    with pytest.raises(TypeError, match="comm must be a communicator of mpi4py, such as MPI.COMM_WORLD, got 4"):
        inv.fit(on_ranks.glow(), on_ranks.banana(), comm=4)


@needs_ranks
@pytest.mark.julia
@pytest.mark.parametrize("number", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_on_the_julia_engine(number, tmp_path):
    same, ends = ["with_all", "in_float32", "resumed", "conditional", "streamed", "stored"], ["nan", "interrupted"]
    (alone,), ranks = results(1, "julia", same, tmp_path), results(number, "julia", same + ends, tmp_path)
    for name in same:
        check_same([rank[name] for rank in ranks], alone[name], "float32" if name == "in_float32" else "float64")
    assert [rank["interrupted"]["stopped"] for rank in ranks] == ["interrupted"] * number
    assert all(rank["nan"]["stopped"].startswith("the objective of update 4 is nan") for rank in ranks)
