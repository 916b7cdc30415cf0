"""Training: what `fit` promises, on both engines where the engine matters."""

from __future__ import annotations

import functools
import io
import json
import random
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file

import pyinvnets as inv
from helpers.processes import interruptible
from pyinvnets.training.checkpoints import read_checkpoint


def gaussian(n=200, seed=0, shape=(1, 1, 2)):
    """Correlated Gaussian samples, shape `(*shape, n)`."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, *shape[::-1]), dtype=np.float32)
    X[:, 1:] += 0.8 * X[:, :1]
    return (3 * X + 1).T


def glow(engine="numpy", n_in=2, seed=1):
    return inv.NetworkGlow(n_in, 4, 1, 2, engine=engine, seed=seed)


def objective(G, *arrays):
    results = G.forward(*arrays)
    latents = results[: len(G.signature.latents)]
    return 0.5 * sum(np.sum(np.square(Z, dtype=float)) for Z in latents) / arrays[0].shape[-1] - results[-1]


def same(state, other):
    return state.keys() == other.keys() and all((state[name] == other[name]).all() for name in state)


fit = functools.partial(inv.fit, progress=False, seed=1, batch_size=20)


def test_an_update_is_what_one_would_write(engine):
    """Without held-out samples, against the loop written out; the gradients there before do not matter."""
    X = gaussian(60)
    G, H = glow(engine), glow(engine)
    Z, _ = G.forward(X)
    G.backward(Z, Z)
    H.forward(X)
    history = fit(G, X, epochs=2, learning_rate=0.01, validation=0)
    rng, opt = np.random.default_rng(1), inv.Adam(0.01)
    l2, lgdet = [], []
    for _ in range(2):
        shuffled = rng.permutation(np.arange(60))
        for first in range(0, 60, 20):
            Z, term = H.forward(np.asfortranarray(X[..., np.sort(shuffled[first : first + 20])]))
            inv.clear_grad(H)
            H.backward(Z / 20, Z)
            opt.update(H)
            l2.append(0.5 * np.sum(np.square(Z), dtype=float) / 20)
            lgdet.append(term)
    assert same(G.state_dict(), H.state_dict())
    assert history.l2 == pytest.approx(l2) and history.lgdet == pytest.approx(lgdet)
    assert history.validation == [None, None] and history.dimensions == 2
    assert all(p.grad is None for p in inv.get_params(G))


def test_short_training(engine):
    """Down to the entropy, which is `1 + log(9)` less `log(2 pi)`."""
    G = glow(engine)
    history = fit(G, gaussian(1500), epochs=4, learning_rate=0.02)
    assert history.validation[-1] < history.validation[0]
    assert history.validation[-1] == pytest.approx(1 + np.log(9), abs=0.15)
    assert len(history.objective) == 4 * 68 and history.samples[:68] == [20] * 67 + [10]
    assert history.stopped is None


def test_conditional_gaussian(engine):
    rng = np.random.default_rng(0)
    C = rng.standard_normal((2000, 2, 1, 1), dtype=np.float32).T
    X = 2 * C + 0.3 * rng.standard_normal((2000, 2, 1, 1), dtype=np.float32).T
    G = inv.NetworkConditionalGlow(2, 2, 16, 1, 6, engine=engine, seed=1)
    history = fit(G, X, C, epochs=10, batch_size=50, learning_rate=inv.CosineDecay(0.01, 360))
    exact = 2 * (np.log(0.3) + 0.5)
    assert history.validation[-1] < history.validation[0] - 0.2
    assert history.validation[-1] == pytest.approx(exact, abs=0.3)


@pytest.mark.parametrize("kind", ["hint", "multiscale hint", "summarized", "multiscale glow", "sequential", "reversed"])
def test_other_networks(kind, engine):
    G, arrays = other_network(kind, engine)
    before = objective(G, *arrays)
    fit(G, *arrays, epochs=6, learning_rate=0.01, clip_norm=10.0)
    assert objective(G, *arrays) < before - 0.1


def other_network(kind, engine):
    options = {"engine": engine, "seed": 1}
    wide = [gaussian(100, seed, (4, 4, 2)) for seed in (1, 2)]
    if kind == "hint":
        return inv.NetworkConditionalHINT(2, 4, 2, **options), [gaussian(100, 1), gaussian(100, 2)]
    if kind == "multiscale hint":
        return inv.NetworkMultiScaleConditionalHINT(2, 4, 2, 1, split_scales=True, **options), wide
    if kind == "summarized":
        conditional = inv.NetworkConditionalGlow(2, 4, 4, 1, 2, **options)
        return inv.SummarizedNet(conditional, inv.ResidualBlock(2, 4, n_out=4, fan=True, **options)), wide
    if kind == "multiscale glow":
        return inv.NetworkGlow(2, 4, 2, 1, split_scales=True, **options), wide[:1]
    if kind == "sequential":
        return inv.Sequential(inv.ActNorm(2, logdet=True, engine=engine), glow(engine)), [gaussian(100)]
    return inv.reverse(inv.CouplingLayerHINT(2, 4, logdet=True, **options)), [gaussian(100)]


class TestEnds:
    def test_best_weights_are_restored(self):
        """With a learning rate that ruins the last epoch."""
        X, held_out = gaussian(), gaussian(50, seed=1)
        G = glow()
        states = []
        rate = lambda made: 0.01 if made < 20 else 0.5  # noqa: E731
        history = fit(
            G,
            X,
            epochs=3,
            learning_rate=rate,
            validation=held_out,
            callback=lambda G, history: states.append(G.state_dict()),
        )
        best = int(np.argmin(history.validation))
        assert best == 1 and same(G.state_dict(), states[1])
        assert objective(G, held_out) == pytest.approx(min(history.validation), rel=1e-5)

    def test_patience(self):
        G = glow()
        history = fit(G, gaussian(), epochs=50, learning_rate=0.3, patience=2)
        assert history.epochs < 50
        assert history.epochs == np.argmin(history.validation) + 3
        assert history.stopped == "no smaller validation objective in 2 epoch(s)"

    def test_not_a_number(self, engine):
        """Found at the update that reads it; the weights are those before the last update that was made."""
        batches = [gaussian(20, seed) for seed in range(5)]
        G, H = glow(engine), glow(engine)
        fit(H, batches[:2], epochs=1)
        batches[3] = np.full_like(batches[3], np.nan)
        with pytest.warns(
            RuntimeWarning, match="update 4 cannot be made, X of a batch: sample 0, counted from 0"
        ) as warned:
            history = fit(G, batches, epochs=2)
        assert warned[0].filename == __file__
        assert "update 4" in history.stopped and len(history.objective) == 3
        assert same(G.state_dict(), H.state_dict())

    def test_weights_that_overflow(self):
        """The rate is such that an update makes the weights too large, the last one too."""
        X = gaussian(40)
        for epochs, word in ((2, "the objective of update 4 is"), (1, "after update 2 the objective")):
            G = glow()
            start = 2 if epochs == 2 else 1
            rate = lambda made, start=start: 1e37 if made == start else 1e-3  # noqa: E731
            with pytest.warns(RuntimeWarning, match=word):
                fit(G, X, epochs=epochs, learning_rate=rate, validation=0, optimizer=inv.SGD)
            assert np.isfinite(objective(G, X))

    def test_the_best_of_a_training_that_diverges(self):
        X = gaussian()
        G = glow()
        states = []
        rate = lambda made: 0.01 if made < 25 else 1e30  # noqa: E731
        with pytest.warns(RuntimeWarning, match="the best by validation"):
            history = fit(G, X, epochs=5, learning_rate=rate, callback=lambda G, history: states.append(G.state_dict()))
        assert history.epochs == 2 and same(G.state_dict(), states[int(np.argmin(history.validation))])

    def test_control_c(self, engine, tmp_path):
        """Sent to a process that trains; its weights are those after the last update in its history."""
        script = (
            "import sys, json, numpy as np, pyinvnets as inv\n"
            "X = inv.sample_banana(2000, seed=1, engine='numpy')\n"
            "G = inv.NetworkGlow(2, 16, 1, 4, engine=sys.argv[2], seed=1)\n"
            "def rate(made):\n"
            "    if made == 5: print('training', flush=True)\n"
            "    return 1e-3\n"
            "h = inv.fit(G, X, epochs=1000, batch_size=50, learning_rate=rate, validation=0, seed=1, progress=False)\n"
            "inv.save(G, sys.argv[1])\n"
            "print(json.dumps([h.stopped, len(h.l2), len(h.lgdet), len(h.seconds)]))\n"
        )
        path = tmp_path / "weights"
        with interruptible(script, path, engine) as process:
            assert process.stdout.readline() == "training\n"
            time.sleep(random.random())
            process.send_signal(signal.SIGINT)
            stopped, *lengths = json.loads(process.communicate(timeout=60)[0])
        assert process.returncode == 0 and stopped == "interrupted"
        assert len(set(lengths)) == 1
        self.check_updates(path, lengths[0], engine)

    @staticmethod
    def check_updates(path, updates, engine):
        X = inv.sample_banana(2000, seed=1, engine="numpy")
        G = inv.NetworkGlow(2, 16, 1, 4, engine=engine, seed=1)

        def rate(made):
            if made == updates:
                raise KeyboardInterrupt
            return 1e-3

        history = fit(G, X, epochs=1000, batch_size=50, learning_rate=rate, validation=0)
        assert history.stopped == "interrupted"
        assert same(G.state_dict(), inv.load(path, engine="numpy").state_dict())

    def test_control_c_is_pythons_again(self):
        before = signal.getsignal(signal.SIGINT)
        fit(glow(), gaussian(), epochs=1)
        assert signal.getsignal(signal.SIGINT) is before


SCRIPT = """
import sys, pyinvnets as inv
from pathlib import Path
path = Path(sys.argv[1])
X = inv.sample_banana(1000, seed=1, engine="numpy")
G = inv.NetworkGlow(2, 16, 1, 4, engine="numpy", seed=1)
h = inv.fit(
    G, X, epochs=40, batch_size=50, learning_rate=inv.CosineDecay(5e-3, 720), noise=0.01, clip_norm=5.0, seed=3,
    progress=False, checkpoint=path, resume=path if path.exists() else None,
    callback=lambda G, history: print(history.epochs, flush=True),
)
inv.save(G, sys.argv[2])
"""


class TestResume:
    def run(self, folder, *, kills=0):
        """Train in a process of its own, which is killed at random moments first."""
        command = [sys.executable, "-c", SCRIPT, folder / "checkpoint", folder / "weights"]
        reached = 0
        for _ in range(kills):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            reached = int(process.stdout.readline())
            time.sleep(0.3 * random.random())
            process.kill()
            process.communicate()
        subprocess.run(command, check=True, capture_output=True)
        return reached

    def test_a_killed_training_ends_as_if_it_had_not_been(self, tmp_path):
        whole, killed = tmp_path / "whole", tmp_path / "killed"
        whole.mkdir()
        killed.mkdir()
        self.run(whole)
        assert self.run(killed, kills=3) > 1
        assert same(*(load_file(folder / "weights") for folder in (whole, killed)))
        ours, theirs = (read_checkpoint(folder / "checkpoint") for folder in (whole, killed))
        assert same(ours.weights, theirs.weights) and same(ours.best, theirs.best)
        assert same(ours.optimiser, theirs.optimiser) and ours.generator == theirs.generator
        for name in ("epoch", "l2", "lgdet", "validation"):
            assert getattr(ours.history, name) == getattr(theirs.history, name)

    @pytest.mark.parametrize("optimizer", [inv.Adam, functools.partial(inv.SGD, momentum=0.9)])
    def test_goes_on(self, engine, optimizer, tmp_path):
        X, path = gaussian(), tmp_path / "checkpoint"
        G, H = glow(engine), glow(engine, seed=2)
        options = {"learning_rate": 1e-3, "optimizer": optimizer}
        whole = fit(G, X, epochs=4, **options)
        fit(glow(engine), X, epochs=2, checkpoint=path, **options)
        H.forward(gaussian(seed=3))
        history = fit(H, X, epochs=4, resume=path, **options)
        assert same(G.state_dict(), H.state_dict())
        assert history.objective == whole.objective and history.validation == whole.validation
        assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]

    def test_at_the_end_already(self, tmp_path):
        X, path = gaussian(), tmp_path / "checkpoint"
        G, H = glow(), glow(seed=2)
        fit(G, X, epochs=2, checkpoint=path)
        assert fit(H, X, epochs=2, resume=path).epochs == 2
        assert same(G.state_dict(), H.state_dict())

    def test_the_seed_that_was_drawn(self, tmp_path):
        X, path = gaussian(), tmp_path / "checkpoint"
        fit(glow(), X, epochs=1, seed=None, checkpoint=path)
        assert fit(glow(), X, epochs=2, seed=None, resume=path).epochs == 2

    def test_a_composite_network(self, tmp_path):
        (G, arrays), (H, _) = (other_network("summarized", "numpy") for _ in range(2))
        whole = fit(G, *arrays, epochs=2)
        fit(other_network("summarized", "numpy")[0], *arrays, epochs=1, checkpoint=tmp_path / "c")
        assert fit(H, *arrays, epochs=2, resume=tmp_path / "c").objective == whole.objective

    def test_refusals_change_nothing(self, tmp_path):
        X, path = gaussian(), tmp_path / "checkpoint"
        fit(glow(), X, epochs=1, checkpoint=path)
        inv.save(glow(), tmp_path / "weights")
        (tmp_path / "part").write_bytes(path.read_bytes()[:-10])
        G = glow(seed=2)
        before = G.state_dict()
        for change, message in (
            ({"batch_size": 10}, "batch_size = 20, cannot go on with 10"),
            ({"seed": 2}, "seed = 1, cannot go on with 2"),
            ({"X": gaussian(190)}, "samples = 200, cannot go on with 190"),
            ({"optimizer": inv.SGD}, "optimizer = Adam"),
            ({"resume": tmp_path / "weights"}, "not written by pyinvnets.fit"),
            ({"resume": tmp_path / "part"}, "not a whole safetensors file"),
        ):
            with pytest.raises(ValueError, match=message):
                fit(G, **({"X": X, "epochs": 2, "resume": path} | change))
        with pytest.raises(ValueError, match="network = NetworkGlow"):
            fit(inv.NetworkGlow(2, 5, 1, 2, engine="numpy"), X, epochs=2, resume=path)
        with pytest.raises(FileNotFoundError):
            fit(G, X, epochs=2, resume=tmp_path / "none")
        assert same(G.state_dict(), before)


class TestInput:
    def test_a_generator(self):
        G, H = glow(), glow()
        batches = [gaussian(20, seed) for seed in range(10)]
        history = fit(G, (batch for batch in batches), epochs=1, batch_size=None)
        again = fit(H, batches, epochs=1)
        assert history.objective == again.objective and same(G.state_dict(), H.state_dict())

    def test_batches_with_conditions_and_samples_held_out(self):
        G = inv.NetworkConditionalGlow(2, 2, 4, 1, 2, engine="numpy", seed=1)
        batches = [(gaussian(20, seed), gaussian(20, seed)) for seed in range(10)]
        history = fit(G, batches, epochs=3, validation=(gaussian(30, 20), gaussian(30, 20)), learning_rate=0.01)
        assert history.validation[-1] < history.validation[0]

    def test_an_iterable_that_is_used_up(self):
        class Once:
            def __init__(self):
                self.batches = iter([gaussian(20)])

            def __iter__(self):
                return (batch for batch in self.batches)

        with pytest.raises(ValueError, match="no batches in this epoch"):
            fit(glow(), Once(), epochs=2)

    def test_an_array_larger_than_memory(self, tmp_path):
        """A sparse file of 64 GB: only what the batches take is read. The noise makes its zeros samples."""
        X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(8_000_000, 2, 32, 32)).T

        def rate(made):
            if made == 3:
                raise KeyboardInterrupt
            return 1e-3

        tracemalloc.start()
        history = fit(inv.NetworkGlow(2, 2, 1, 1, engine="numpy"), X, epochs=1, learning_rate=rate, noise=1.0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(history.objective) == 3 and peak < 500e6

    def test_a_memory_map_trains_like_the_array(self, tmp_path):
        X = gaussian(shape=(4, 4, 2))
        mapped = np.memmap(tmp_path / "X", np.float32, "w+", shape=X.T.shape)
        mapped[:] = X.T
        G, H = glow(), glow()
        assert fit(G, X, epochs=2).objective == fit(H, mapped.T, epochs=2).objective

    def test_any_memory_order(self):
        X = gaussian(shape=(4, 4, 2))
        G, H = glow(), glow()
        assert fit(G, X, epochs=2).objective == fit(H, np.ascontiguousarray(X), epochs=2).objective

    def test_double_precision_and_noise(self):
        G = glow().astype(np.float64)
        quiet = fit(G, gaussian().astype(float), epochs=1).objective
        H = glow().astype(np.float64)
        noisy = fit(H, gaussian().astype(float), epochs=1, noise=0.1).objective
        assert noisy != quiet and noisy == pytest.approx(quiet, abs=1)

    def test_frozen_convolutions(self, engine):
        G = inv.NetworkGlow(2, 4, 1, 2, freeze_conv=True, engine=engine, seed=1)
        before = G.state_dict()
        fit(G, gaussian(), epochs=1, validation=0)
        after = G.state_dict()
        for name in before:
            assert (before[name] == after[name]).all() == (".C." in name), name


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be a positive integer, got 0"),
        ({"batch_size": 2.5}, ValueError, "batch_size must be a positive integer, got 2.5"),
        ({"batch_size": "all"}, ValueError, "batch_size must be a positive integer, got 'all'"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be a positive finite number, got -1.0"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number or a function"),
        ({"optimizer": lambda rate: rate}, TypeError, "optimizer must make an optimiser"),
        ({"optimizer": inv.Adam()}, TypeError, "optimizer must make an optimiser"),
        ({"validation": 1.0}, ValueError, r"validation must be in \[0, 1\), or samples"),
        ({"validation": 0.999}, ValueError, "leaves none to train on"),
        ({"validation": gaussian(5, 0, (1, 1, 3))}, ValueError, r"n_channels = 2.*got shape \(1, 1, 3, 1\)"),
        ({"validation": (gaussian(5), gaussian(5))}, ValueError, r"validation samples must be of X, got 2 array"),
        ({"patience": 0}, ValueError, "patience must be a positive integer"),
        ({"patience": 2, "validation": 0}, ValueError, "patience needs a validation objective"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm must be a positive finite number"),
        ({"noise": np.nan}, ValueError, "noise must be a finite number"),
        ({"seed": -1}, ValueError, "seed must be a non-negative integer"),
        ({"device": "cuda"}, ValueError, 'device must be "cpu", "gpu" or None, got \'cuda\''),
        ({"device": "gpu"}, ValueError, "only networks of the Julia engine run on a GPU"),
        ({"callback": 3}, TypeError, "callback must be a function"),
        ({"checkpoint": "/nowhere/at/all"}, FileNotFoundError, "there is no folder /nowhere/at to write all to"),
        ({"condition": gaussian()}, ValueError, "NetworkGlow takes X alone"),
        ({"X": gaussian().astype(int)}, TypeError, "X must be float32.*got int64"),
        ({"noise": "foo"}, ValueError, "noise must be a finite number, zero or more, got 'foo'"),
        ({"objective": "likelihood"}, TypeError, "objective must be an Objective, such as MaximumLikelihood"),
        ({"X": np.float32(3)}, TypeError, "X must be a NumPy array or an iterable"),
        ({"X": np.array(3.0, np.float32)}, ValueError, r"X must have shape.*got shape \(\)"),
        ({"X": gaussian(0)}, ValueError, r"X must have shape.*got shape \(1, 1, 2, 0\)"),
        ({"X": gaussian(1)}, ValueError, "leaves none to train on"),
        ({"X": (x for x in ()), "epochs": 2}, ValueError, "an iterator, which lasts for one epoch"),
        ({"X": [gaussian()], "condition": gaussian()}, ValueError, r"its batches are tuples \(X, condition\)"),
        ({"X": [(gaussian(), gaussian())]}, ValueError, r"a batch must be of X, got 2 array"),
        ({"X": [[1.0]]}, TypeError, "X must be a NumPy array, got float"),
        ({"G": inv.ActNorm(2, engine="numpy")}, ValueError, "keeps no log-determinant; make it with logdet=True"),
        ({"G": inv.ResidualBlock(2, 4, engine="numpy")}, TypeError, "expected a network with a density"),
        ({"G": inv.VectorFlow(2, K=2, engine="numpy")}, TypeError, "VectorFlow has a method of its own.*flow.fit"),
        ({"G": inv.NetworkConditionalGlow(2, 2, 4, 1, 1, engine="numpy")}, ValueError, "also takes a condition"),
    ],
)
def test_bad_arguments_change_nothing(change, error, message):
    arguments = {"G": glow(), "X": gaussian(), "epochs": 1} | change
    before = arguments["G"].state_dict()
    with pytest.raises(error, match=message):
        fit(**arguments)
    assert same(arguments["G"].state_dict(), before)


def test_a_condition_of_other_samples():
    G = inv.NetworkConditionalGlow(2, 2, 4, 1, 1, engine="numpy")
    with pytest.raises(ValueError, match="equally many samples, got 200 and 100"):
        fit(G, gaussian(), gaussian(100), epochs=1)


def test_the_callback_sees_each_epoch_and_its_error_comes_out():
    seen = []

    def callback(G, history):
        seen.append((G, history.epochs, len(history.validation)))
        if len(seen) == 2:
            raise LookupError("enough")

    G = glow()
    with pytest.raises(LookupError, match="enough"):
        fit(G, gaussian(), epochs=3, callback=callback)
    assert seen == [(G, 1, 1), (G, 2, 2)]


def means(history):
    return history.to_dict()["epochs"]["objective"]


def test_progress_is_a_line_for_each_epoch_on_standard_error(capsys, tmp_path):
    path = tmp_path / "c"
    history = fit(glow(), gaussian(), epochs=2, progress=True, checkpoint=path)
    out, err = capsys.readouterr()
    lines = [
        f"epoch {i + 1}: objective {means(history)[i]:.4f}, validation {history.validation[i]:.4f}\n" for i in (0, 1)
    ]
    assert out == "" and err == "".join(lines)
    history = fit(glow(), gaussian(), epochs=3, progress=True, resume=path)
    assert capsys.readouterr().err.startswith(f"epoch 3: objective {means(history)[2]:.4f}, validation")
    fit(glow(), gaussian(), epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")


def test_progress_in_a_notebook_has_a_bar(monkeypatch):
    """Which gives way to what a callback prints, and of which nothing is left."""

    class OutStream(io.StringIO):
        __module__ = "ipykernel.iostream"

    shown = OutStream()
    monkeypatch.setattr(sys, "stderr", shown)
    fit(glow(), gaussian(), epochs=2, progress=True, callback=lambda G, history: print("called", file=sys.stderr))
    lines = [line.split("\r")[-1] for line in shown.getvalue().split("\n")]
    assert "0%|" in shown.getvalue()
    assert [line.split(":")[0].strip() for line in lines] == ["epoch 1", "called", "epoch 2", "called", ""]


def test_clipping(engine):
    """One step of plain descent is as long as the largest norm allows."""
    X = gaussian(20)
    G = glow(engine)
    G.forward(X)
    before = G.state_dict()
    fit(G, X, epochs=1, learning_rate=0.5, optimizer=inv.SGD, validation=0, clip_norm=0.01)
    length = np.sqrt(sum(np.sum((p.data - before[p.name]) ** 2) for p in inv.get_params(G)))
    assert length == pytest.approx(0.5 * 0.01, rel=1e-3)


class TestHistory:
    @pytest.fixture
    def history(self):
        return fit(glow(), gaussian(), epochs=3)

    def test_to_dict(self, history):
        whole = history.to_dict()
        assert json.loads(json.dumps(whole)) == whole
        updates, epochs = whole["updates"], whole["epochs"]
        assert updates["epoch"] == [1] * 9 + [2] * 9 + [3] * 9
        assert all(len(column) == 27 for column in updates.values())
        assert epochs["epoch"] == [1, 2, 3] and epochs["validation"] == history.validation
        assert epochs["objective"][1] == pytest.approx(np.mean(updates["objective"][9:18]))
        assert epochs["objective"] == pytest.approx(np.subtract(epochs["l2"], epochs["lgdet"]))
        assert sum(updates["seconds"]) < sum(epochs["seconds"])

    def test_to_frame(self, history):
        pandas = pytest.importorskip("pandas")
        frame = history.to_frame()
        assert isinstance(frame, pandas.DataFrame) and frame.index.name == "update"
        assert frame["objective"].tolist() == history.objective
        assert frame["validation"].dropna().to_dict() == dict(zip((9, 18, 27), history.validation, strict=True))

    def test_to_frame_without_pandas(self, history, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match="needs pandas; write `pip install pandas`"):
            history.to_frame()

    def test_plot(self, history):
        from matplotlib.figure import Figure

        axes = list(Figure().subplots(3, 1))
        assert history.plot(axes) is axes
        np.testing.assert_allclose(axes[2].lines[0].get_ydata(), history.objective)
        np.testing.assert_allclose(
            axes[2].lines[1].get_xydata(), list(zip((9, 18, 27), history.validation, strict=True))
        )


class TestOptimisers:
    """Against the formulas, written out here."""

    @staticmethod
    def updates(opt, engine):
        """The values and the gradients of a parameter, update by update."""
        C = inv.Conv1x1(4, engine=engine, seed=1).astype(float)
        X = np.asfortranarray(np.random.default_rng(0).standard_normal((2, 2, 4, 3)))
        p = inv.get_params(C)[0]
        values, gradients = [p.data.copy()], []
        for _ in range(4):
            Y = C.forward(X)
            inv.clear_grad(C)
            C.backward(np.ones_like(Y), Y)
            gradients.append(p.grad.copy())
            opt.update(C)
            values.append(p.data.copy())
        return values, gradients

    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_sgd(self, momentum, engine):
        values, gradients = self.updates(inv.SGD(0.1, momentum), engine)
        velocity = 0.0
        for before, gradient, after in zip(values, gradients, values[1:], strict=False):
            velocity = momentum * velocity - 0.1 * gradient
            np.testing.assert_allclose(after, before + velocity, rtol=1e-12)

    def test_adamw(self, engine):
        """The decay takes its part of the value before the update, whatever the learning rate is."""
        opt = inv.AdamW(0.1, beta=(0.8, 0.95), decay=0.03, epsilon=1e-3)
        values, gradients = self.updates(opt, engine)
        m = v = 0.0
        for t, (before, gradient, after) in enumerate(zip(values, gradients, values[1:], strict=False), 1):
            m = 0.8 * m + 0.2 * gradient
            v = 0.95 * v + 0.05 * gradient**2
            step = 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
            np.testing.assert_allclose(after, before - step - 0.03 * before, rtol=1e-12)

    @pytest.mark.parametrize("make", [inv.Adam, functools.partial(inv.SGD, momentum=0.9)], ids=["Adam", "SGD"])
    def test_state(self, make, engine):
        """An optimiser with another's state makes the same updates; the state is a copy."""
        X = gaussian(20)
        G, H = glow(engine), glow(engine)
        opt, other = make(0.01), make(0.01)

        def update(G, opt):
            Z, _ = G.forward(X)
            inv.clear_grad(G)
            G.backward(Z / 20, Z)
            opt.update(G)

        for _ in range(3):
            update(G, opt)
        H.load_state_dict(G.state_dict())
        state = opt.state_dict(G)
        other.load_state_dict(H, state)
        for array in state.values():
            array[...] = 7
        for network, optimiser in ((G, opt), (H, other)):
            update(network, optimiser)
        assert same(G.state_dict(), H.state_dict())
        with pytest.raises(ValueError, match="expected a state of"):
            other.load_state_dict(H, {"no": np.ones(1)})
        with pytest.raises(ValueError, match="must be of"):
            other.load_state_dict(H, {name: np.ones(1) for name in state})

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: inv.SGD(0.0), "SGD: learning_rate must be"),
            (lambda: inv.SGD(0.1, 1.0), "momentum must be a number in"),
            (lambda: inv.AdamW(decay=-0.1), "decay must be a number in"),
            (lambda: inv.AdamW(beta=(1.0, 0.9)), "AdamW: beta must be"),
            (lambda: inv.CosineDecay(0.1, 0), "CosineDecay: updates must be"),
            (lambda: inv.ExponentialDecay(0.1, np.inf, 10), "ExponentialDecay: factor must be"),
        ],
    )
    def test_bad_arguments(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_repr(self):
        for opt in (inv.Adam(), inv.AdamW(0.1, decay=0.2), inv.SGD(0.1, 0.9), inv.CosineDecay(0.1, 5)):
            assert repr(eval(repr(opt), vars(inv))) == repr(opt)


@pytest.mark.julia
class TestOptimisersInJulia:
    """Bit for bit Flux's own."""

    @pytest.mark.parametrize(
        ("make", "flux"),
        [
            (lambda: inv.AdamW(0.01, (0.8, 0.99), 0.02), "AdamW(0.01, (0.8, 0.99), 0.02)"),
            (lambda: inv.SGD(0.01), "Descent(0.01)"),
            (lambda: inv.SGD(0.01, 0.8), "Momentum(0.01, 0.8)"),
        ],
    )
    def test_like_flux(self, make, flux):
        from juliacall import Main as jl

        X = gaussian(20)
        G, H = glow("julia"), glow("julia")
        opt = make()
        theirs = jl.seval(
            f"""let optimiser = PyInvNets.Flux.Optimise.{flux}
                h -> foreach(p -> PyInvNets.Flux.Optimise.update!(optimiser, p.data, p.grad), h.params)
            end"""
        )
        for _ in range(5):
            for network in (G, H):
                Z, _ = network.forward(X)
                inv.clear_grad(network)
                network.backward(Z / 20, Z)
            opt.update(G)
            theirs(H.model.handle)
            assert same(G.state_dict(), H.state_dict())


def test_a_history_shows_itself_in_a_line():
    assert repr(inv.History()) == "History(epochs=0, updates=0)"
    history = inv.History(l2=[2.0, 1.5], lgdet=[0.0, 0.5], validation=[1.25], epoch_seconds=[0.1], stopped="patience")
    expected = "History(epochs=1, updates=2, objective=1.0000, validation=1.2500, stopped='patience')"
    assert repr(history) == expected
