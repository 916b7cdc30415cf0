"""`python -m pyinvnets train`, `sample` and `log-prob`, as a user types them."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import pyinvnets as inv
from helpers.processes import ROOT, interruptible
from pyinvnets.cli.main import main
from pyinvnets.storage.expressions import parse
from pyinvnets.training.checkpoints import read_checkpoint

COMMAND = "import sys; from pyinvnets.cli.main import main; sys.exit(main())"
RNG = np.random.default_rng(0)
BANANA = inv.sample_banana(2000, seed=1, engine="numpy").T.reshape(-1, 2)
GLOW = "NetworkGlow(2, 8, 1, 2)"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the commands run, with the files that `--help` names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYINVNETS_ENGINE", "numpy")
    np.save("banana.npy", BANANA)
    np.save("images.npy", RNG.standard_normal((60, 1, 8, 8)).astype(np.float32))
    x = RNG.standard_normal((300, 2))
    np.save("x.npy", x)
    np.save("y.npy", x[:, :1] + 0.1 * RNG.standard_normal((300, 1)))
    np.save("one_y.npy", np.load("y.npy")[:1])
    return tmp_path


def run(line):
    return main(shlex.split(line))


def trained(line="banana.npy --epochs 1", engine="numpy"):
    assert run(f"train {line} --engine {engine} --network '{GLOW}' --seed 1 --output w --overwrite") == 0
    return inv.load("w", engine=engine)


def process(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "pyinvnets", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        **options,
    )


def refused(line, message, capsys, status=1):
    """The command says so on standard error, in one line, and changes no file."""
    before = contents()
    capsys.readouterr()
    if status == 2:
        with pytest.raises(SystemExit) as stopped:
            run(line)
        assert stopped.value.code == 2
    else:
        assert run(line) == status
    out, err = capsys.readouterr()
    assert message in err.splitlines()[-1] and not out and "Traceback" not in err
    assert contents() == before


def contents():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


class TestAll:
    def test_train_sample_log_prob(self, engine, capsys):
        G = trained("banana.npy --epochs 3", engine)
        assert run(f"sample w -n 500 --seed 3 --engine {engine} --output s.npy") == 0
        samples = np.load("s.npy")
        assert samples.shape == (500, 2) and samples.dtype == np.float32
        np.testing.assert_array_equal(samples, G.sample(500, seed=3, batch_size=128).T.reshape(500, 2))
        capsys.readouterr()
        assert run(f"log-prob w s.npy --engine {engine}") == 0
        printed = np.array(capsys.readouterr().out.split(), np.float32)
        assert run(f"log-prob w s.npy --engine {engine} --output l.npy") == 0
        np.testing.assert_array_equal(np.load("l.npy"), printed)
        np.testing.assert_allclose(printed, G.log_prob(samples.reshape(500, 2, 1, 1).T), rtol=1e-5)

    def test_it_is_fit(self):
        """The same call in Python gives the same weights."""
        run(f"train banana.npy --network '{GLOW}' --epochs 2 --batch-size 50 --learning-rate 3e-3 --noise 0.1 --seed 5")
        G = inv.NetworkGlow(2, 8, 1, 2, engine="numpy", seed=5)
        X = BANANA.reshape(-1, 2, 1, 1).T
        inv.fit(G, X, epochs=2, batch_size=50, learning_rate=3e-3, noise=0.1, seed=5, progress=False)
        for name, value in inv.load("weights.safetensors").state_dict().items():
            np.testing.assert_array_equal(value, G.state_dict()[name])

    def test_a_conditional_network(self, engine):
        assert run(f"train x.npy --condition y.npy --epochs 2 --output w --engine {engine}") == 0
        assert isinstance(inv.load("w", engine="numpy"), inv.NetworkConditionalGlow)
        assert run(f"sample w -n 200 --condition one_y.npy --seed 1 --output s.npy --engine {engine}") == 0
        assert run("sample w -n 300 --condition y.npy --output each.npy") == 0
        assert np.load("s.npy").shape == (200, 2) and np.load("each.npy").shape == (300, 2)
        assert run("log-prob w x.npy --condition y.npy --output l.npy") == 0
        assert run("log-prob w s.npy --condition one_y.npy --output one.npy") == 0
        G = inv.load("w", engine="numpy")
        X, C = (np.load(f).astype(np.float32)[:, :, None, None].T for f in ("x.npy", "y.npy"))
        np.testing.assert_allclose(np.load("l.npy"), G.log_prob(X, C), rtol=1e-5)
        np.testing.assert_allclose(
            np.load("one.npy"), G.log_prob(np.load("s.npy")[:, :, None, None].T, C[..., :1]), rtol=1e-5
        )

    def test_hint_given_the_condition(self):
        np.save("y.npy", np.load("x.npy") + 1)
        assert run("train x.npy --condition y.npy --network NetworkConditionalHINT --epochs 1 --seed 1 --output w") == 0
        assert run("log-prob w x.npy --condition y.npy --output l.npy") == 0
        assert run("sample w -n 300 --condition y.npy --seed 3 --output s.npy") == 0
        G = inv.load("w", engine="numpy")
        X, Y = (np.load(f).astype(np.float32)[:, :, None, None].T for f in ("x.npy", "y.npy"))
        np.testing.assert_allclose(np.load("l.npy"), G.log_prob_given(X, Y), rtol=1e-5)
        np.testing.assert_allclose(np.load("s.npy"), G.sample_given(300, Y, seed=3)[0, 0].T, rtol=1e-5)

    @pytest.mark.parametrize("network", ["NetworkConditionalGlow", "NetworkConditionalHINT"])
    def test_samples_for_each_condition(self, network, capsys):
        np.save("y.npy", np.load("x.npy") + 1)
        assert run(f"train x.npy --condition y.npy --network {network} --epochs 1 --seed 1 --output w") == 0
        assert run("sample w -n 2 --condition y.npy --each --seed 1 --batch-size 77 --output s.npy") == 0
        G, Y = inv.load("w", engine="numpy"), np.load("y.npy").astype(np.float32)[:, :, None, None].T
        draw = G.sample if network == "NetworkConditionalGlow" else G.sample_given
        expected = draw(600, np.asfortranarray(np.tile(Y, 2)), seed=1)[0, 0].T.reshape(2, 300, 2)
        np.testing.assert_allclose(np.load("s.npy"), expected, rtol=1e-4, atol=1e-5)
        refused("sample w -n 2 --each --output t.npy", "give --condition", capsys)

    def test_a_flow_over_rows(self):
        """What Python saved is a VectorFlow; the files are the same."""
        flow, X = inv.VectorFlow(2, engine="numpy", seed=1), np.load("x.npy").astype(np.float32)
        flow.forward(X)
        inv.save(flow, "w")
        assert run("log-prob w x.npy --output l.npy") == 0
        assert run("sample w -n 5 --seed 1 --output s.npy") == 0
        np.testing.assert_allclose(np.load("l.npy"), flow.log_prob(X), rtol=1e-6)
        np.testing.assert_allclose(np.load("s.npy"), flow.sample(5, seed=1), rtol=1e-6)

    def test_two_lanes(self, capsys):
        G = inv.reverse(inv.NetworkConditionalHINT(2, 4, 1, engine="numpy", seed=1))
        X = np.load("x.npy").astype(np.float32)[:, :, None, None].T
        G.forward(X, X)
        inv.save(G, "w")
        refused("sample w -n 3 --condition x.npy --output s.npy", "gives two arrays", capsys)

    def test_examples_of_help(self, capsys):
        """All that `--help` shows as examples, in its order."""
        lines = []
        for command in ("train", "sample", "log-prob"):
            with pytest.raises(SystemExit):
                run(f"{command} --help")
            examples = capsys.readouterr().out.split("examples:\n")[1].replace("\\\n", "")
            lines += [line.strip() for line in examples.splitlines() if line]
        assert len(lines) == 12
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        for line in lines:
            if "|" in line or "<" in line:
                line = line.replace("python", shlex.quote(sys.executable))
                subprocess.run(line, shell=True, check=True, env=environment, capture_output=True)
            else:
                assert main(shlex.split(line)[3:]) == 0, line
        assert np.load("posterior.npy").shape == (500, 2)


class TestLayouts:
    def test_images_come_back_as_they_went_in(self):
        assert run("train images.npy --epochs 1 --output w") == 0
        G = inv.load("w")
        assert G.spatial == (8, 8) and G.arguments["split_scales"] and G.arguments["L"] == 2
        run("sample w -n 3 --seed 1 --output s.npy")
        samples = np.load("s.npy")
        assert samples.shape == (3, 1, 8, 8)
        np.testing.assert_array_equal(samples.T, G.sample(3, seed=1))
        run("log-prob w images.npy --output l.npy")
        np.testing.assert_allclose(np.load("l.npy"), G.log_prob(np.load("images.npy").T), rtol=1e-5)

    def test_lines_and_volumes(self):
        np.save("lines.npy", RNG.standard_normal((40, 2, 6)))
        assert run("train lines.npy --epochs 1 --output w") == 0
        run("sample w -n 4 --output s.npy")
        assert np.load("s.npy").shape == (4, 2, 6)
        np.save("volumes.npy", RNG.standard_normal((20, 1, 2, 4, 6)))
        assert run("train volumes.npy --epochs 1 --output v") == 0
        assert inv.load("v").spatial == (6, 4, 2)
        run("sample v -n 4 --output sv.npy")
        assert np.load("sv.npy").shape == (4, 1, 2, 4, 6)

    def test_rows_for_a_network_on_a_line(self):
        line = "train banana.npy --network 'NetworkGlow(2, 8, 1, 2, ndims=1)' --epochs 1 --output w"
        assert run(line) == 0
        run("sample w -n 4 --output s.npy")
        assert np.load("s.npy").shape == (4, 2)

    def test_julias(self):
        """The same samples in either layout give the same weights and numbers."""
        G = trained()
        np.save("julia.npy", BANANA.reshape(-1, 2, 1, 1).T)
        np.save("columns.npy", BANANA.T)
        for name in ("julia.npy", "columns.npy"):
            H = trained(f"{name} --julia-layout --epochs 1")
            for p in inv.get_params(G):
                np.testing.assert_array_equal(inv.named_params(H)[p.name].data, p.data)
        run("sample w -n 4 --seed 1 --output rows.npy")
        run("sample w -n 4 --seed 1 --julia-layout --output columns.npy --overwrite")
        np.testing.assert_array_equal(np.load("columns.npy"), np.load("rows.npy").T)

    def test_numbers_of_other_types(self):
        G = trained()
        for dtype in (np.float64, ">f4"):
            np.save("other.npy", BANANA.astype(dtype))
            H = trained("other.npy --epochs 1")
            for p in inv.get_params(G):
                np.testing.assert_array_equal(inv.named_params(H)[p.name].data, p.data)
        np.save("bytes.npy", RNG.integers(0, 255, (100, 2)).astype(np.uint8))
        trained("bytes.npy --epochs 1")

    def test_a_file_is_mapped(self, monkeypatch):
        """Of a float32 file `fit` gets the memory map itself, not a copy in memory."""
        seen = []
        monkeypatch.setattr("pyinvnets.cli.commands.fit", lambda G, X, **_: seen.append(X) or inv.History())
        run(f"train banana.npy --network '{GLOW}'")
        assert isinstance(seen[0], np.memmap) and str(seen[0].filename).endswith("banana.npy")


class TestTraining:
    def test_history(self):
        trained("banana.npy --epochs 2 --history h.json")
        trained("banana.npy --epochs 2")
        history = json.loads(Path("h.json").read_text())
        rows = list(csv.DictReader(Path("w-history.csv").read_text().splitlines()))
        assert [float(row["objective"]) for row in rows] == history["updates"]["objective"]
        assert [float(row["validation"]) for row in rows if row["validation"]] == history["epochs"]["validation"]
        assert rows[-1]["validation"] and rows[-1]["update"] == str(len(rows))

    def test_resume(self):
        whole = trained("banana.npy --epochs 3").state_dict()
        trained("banana.npy --epochs 1 --checkpoint c")
        resumed = trained("banana.npy --epochs 3 --resume c").state_dict()
        for name, value in whole.items():
            np.testing.assert_array_equal(resumed[name], value)

    def test_patience(self, capsys):
        trained("banana.npy --epochs 50 --patience 1 --learning-rate 0.05")
        out, err = capsys.readouterr()
        assert "Stopped: no smaller validation objective in 1 epoch(s)" in err
        assert "smallest validation objective" in out

    @pytest.mark.filterwarnings("ignore:.*objective of update")
    def test_divergence(self, capsys):
        line = f"train banana.npy --network '{GLOW}' --learning-rate 1e30 --epochs 1 --seed 1 --output w"
        assert run(line) == 1
        assert "the last weights that gave a finite objective" in capsys.readouterr().err
        assert all(np.isfinite(value).all() for value in inv.load("w").state_dict().values())

    def test_control_c(self):
        """The weights so far are written, and the exit status says so."""
        line = ("train", "banana.npy", "--network", GLOW, "--epochs", "100000", "--output", "w")
        with interruptible(COMMAND, *line, folder=Path.cwd()) as started:
            assert any(line.startswith("epoch 1: objective") for line in started.stderr)
            started.send_signal(signal.SIGINT)
            out, err = started.communicate(timeout=60)
        assert started.returncode == 130, err
        assert "Stopped: interrupted" in err
        assert out.count("\n") == 1 and "wrote w and w-history.csv" in out
        assert inv.load("w").spatial == (1, 1) and os.path.exists("w-history.csv")


class TestLostWork:
    """No command destroys what it is given, or what it has worked for."""

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("train x.npy --output x.npy", "--output would overwrite DATA, x.npy"),
            ("train x.npy --output link.npy", "--output would overwrite DATA, link.npy"),
            ("train x.npy --checkpoint x.npy", "--checkpoint would overwrite DATA, x.npy"),
            ("train x.npy --condition y.npy --output y.npy", "--output would overwrite --condition, y.npy"),
            ("train x.npy --history x.npy", "--history would overwrite DATA, x.npy"),
            ("train x.npy --output n --history n", "--output and --history are the same file, n"),
            ("train x.npy --output ./n --history n", "--output and --history are the same file, n"),
            ("train x.npy --checkpoint r --output r", "--output and --checkpoint are the same file, r"),
            ("train x.npy --resume w --output w", "--output and --checkpoint are the same file, w"),
            ("train x.npy --resume w --checkpoint c --output w", "--output would overwrite --resume, w"),
            ("log-prob w x.npy --output x.npy", "--output would overwrite DATA, x.npy"),
            ("log-prob w x.npy --output w", "--output would overwrite WEIGHTS, w"),
            ("sample w -n 5 --output w", "--output would overwrite WEIGHTS, w"),
        ],
    )
    def test_inputs_and_outputs_are_different_files(self, line, message, capsys):
        trained()
        os.symlink("x.npy", "link.npy")
        refused(line, message, capsys)
        refused(f"{line} --overwrite", message, capsys)

    def test_what_exists_is_kept(self, capsys):
        trained("banana.npy --epochs 1 --checkpoint c")
        run("sample w -n 3 --output s.npy")
        run("log-prob w s.npy --output l.npy")
        for line, name in {
            "train banana.npy --epochs 1 --output w": "w",
            "train banana.npy --epochs 1 --output v --history w-history.csv": "w-history.csv",
            "train banana.npy --epochs 1 --output v --checkpoint c": "c",
            "sample w -n 3 --output s.npy": "s.npy",
            "log-prob w s.npy --output l.npy": "l.npy",
        }.items():
            refused(line, f"{name} exists and is kept; write --overwrite to replace it, or another file", capsys)
        before = contents()
        assert run("sample w -n 4 --output s.npy --overwrite") == 0
        assert len(np.load("s.npy")) == 4 and contents().keys() == before.keys()

    def test_places_are_tried_before_training(self, monkeypatch, capsys):
        def full(descriptor, content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("pyinvnets.cli.commands.fit", lambda *_, **__: pytest.fail("it trained"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            refused("train banana.npy", "weights.safetensors: No space left on device", capsys)
        refused("train banana.npy --checkpoint none/c", "there is no folder none to write c to", capsys)

    def test_a_resumed_training_goes_on_writing_its_checkpoint(self):
        trained("banana.npy --epochs 1 --checkpoint c")
        first = Path("c").read_bytes()
        trained("banana.npy --epochs 2 --resume c")
        assert Path("c").read_bytes() != first
        resumed = trained("banana.npy --epochs 3 --resume c --checkpoint other").state_dict()
        assert len(read_checkpoint("c").history.epoch_seconds) == 2
        assert len(read_checkpoint("other").history.epoch_seconds) == 3
        for name, value in trained("banana.npy --epochs 3").state_dict().items():
            np.testing.assert_array_equal(resumed[name], value)

    @pytest.mark.filterwarnings("ignore:.*objective of update")
    def test_half_trained_weights_never_replace_good_ones(self, capsys):
        trained()
        before = contents()
        line = f"train banana.npy --network '{GLOW}' --learning-rate 1e30 --epochs 1 --seed 1 --output w --overwrite"
        for names in (["w-stopped", "w-history-stopped.csv"], ["w-stopped2", "w-history-stopped2.csv"]):
            assert run(line) == 1
            assert f"wrote {' and '.join(names)}" in capsys.readouterr().out
            after = contents()
            assert {path.name for path in after.keys() - before.keys()} == set(names)
            assert all(after[path] == content for path, content in before.items() if path.name not in names)
            before = after

    def test_a_disk_that_is_full_at_the_end(self, monkeypatch, capsys):
        """The weights are elsewhere, which is said in one line."""

        def full(G, path):
            if Path(path) == Path("w"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "w")
            inv.save(G, path)

        monkeypatch.setattr("pyinvnets.cli.commands.save", full)
        assert run(f"train banana.npy --network '{GLOW}' --epochs 1 --seed 1 --output w") == 1
        out, err = capsys.readouterr()
        assert err.splitlines()[-1] == "w: No space left on device"
        place = Path(re.search(r"wrote (\S+) and w-history.csv", out)[1])
        assert place.parent.parent == Path(tempfile.gettempdir()) and place.name == "w"
        assert repr(inv.load(place, engine="numpy")) == repr(parse(GLOW).make("numpy"))
        shutil.rmtree(place.parent)

    def test_a_checkpoint_that_cannot_be_written(self, tmp_path):
        """A limit on the size of files stands for a full disk: training ends, and what it has learnt is kept where the
        disk takes it."""
        code = (
            "import resource, sys; from pyinvnets.cli.main import main; "
            "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop()), -1)); sys.exit(main(sys.argv[1:]))"
        )
        line = ["train", "banana.npy", "--network", GLOW, "--epochs", "3", "--seed", "1", "--output", "w"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}

        def run_limited(*more):
            return subprocess.run(
                [sys.executable, "-c", code, *line, *more],
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        trained()
        size = os.path.getsize("w")
        os.unlink("w")
        limited = run_limited("--checkpoint", "c", "--history", "h.csv", str(size + 100))
        assert limited.returncode == 1 and "Traceback" not in limited.stderr
        assert limited.stderr.splitlines()[-1].endswith(f"c: {os.strerror(errno.EFBIG)}")
        assert limited.stdout.endswith("; wrote w\n")
        assert inv.load("w", engine="numpy").spatial == (1, 1)
        assert not [name for name in os.listdir() if name.startswith(".")]

    def test_a_disk_that_is_full_everywhere(self):
        code = (
            "import resource, sys; from pyinvnets.cli.main import main; "
            "resource.setrlimit(resource.RLIMIT_FSIZE, (100, -1)); sys.exit(main(sys.argv[1:]))"
        )
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        trained()
        np.save("many.npy", BANANA)
        for line in (
            ["train", "banana.npy", "--network", GLOW, "--epochs", "1", "--output", "v"],
            ["sample", "w", "-n", "100", "--output", "s.npy"],
            ["log-prob", "w", "many.npy", "--output", "l.npy"],
        ):
            before = contents()
            done = subprocess.run(
                [sys.executable, "-c", code, *line], env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 1 and "Traceback" not in done.stderr
            assert done.stderr.splitlines()[-1] == f"pyinvnets {line[0]}: {line[-1]}: File too large"
            assert contents() == before

    def test_a_device_that_is_full(self, capsys):
        if not os.path.exists("/dev/full"):
            pytest.skip("this system has no /dev/full")
        trained()
        refused("sample w -n 100 --output /dev/full", "/dev/full: No space left on device", capsys)
        refused("log-prob w x.npy --output /dev/full", "/dev/full: No space left on device", capsys)

    def test_control_c_in_a_rerun(self):
        trained()
        good = Path("w").read_bytes()
        line = ("train", "banana.npy", "--network", GLOW, "--epochs", "100000", "--output", "w", "--overwrite")
        with interruptible(COMMAND, *line, folder=Path.cwd()) as started:
            assert any(line.startswith("epoch 1: objective") for line in started.stderr)
            started.send_signal(signal.SIGINT)
            out, err = started.communicate(timeout=60)
        assert started.returncode == 130, err
        assert "wrote w-stopped and w-history-stopped.csv" in out
        assert Path("w").read_bytes() == good and inv.load("w-stopped", engine="numpy")


class TestTerminal:
    @pytest.mark.parametrize("columns", [40, 100])
    def test_each_epoch_has_its_line(self, columns):
        """With a bar below; however narrow the terminal is, objectives are readable."""
        status, shown = on_terminal(columns, "train", "banana.npy", "--network", GLOW, "--epochs", "3", "--output", "w")
        assert status == 0, shown
        lines = [line.split("\r")[-1] for line in shown.replace("\r\n", "\n").split("\n")]
        text = " ".join(line.strip() for line in lines)
        for epoch in (1, 2, 3):
            assert re.search(rf"epoch {epoch}: objective -?\d+\.\d{{4}}, validation -?\d+\.\d{{4}} ", text)
        assert not any("%|" in line for line in lines)  # no bar is left
        bars = [part for part in re.split(r"[\r\n]", shown) if "%|" in part]
        assert any(re.match(r"objective -?\d+\.\d{4} +\d+%\|", bar) for bar in bars)
        assert max(map(len, bars)) <= columns
        assert all(re.search(r"\| (\?|\d\d:\d\d)$" if columns == 40 else r"update/s\]$", bar) for bar in bars)

    def test_no_bars_in_a_file(self):
        done = process("tutorial", "--engine", "numpy", "--iterations", "100", "--output", "out")
        out, err = done.communicate(timeout=120)
        assert done.returncode == 0 and b"\r" not in out + err and not err
        assert out.count(b"Iteration=") == 2
        done = process("train", "banana.npy", "--network", GLOW, "--epochs", "2", "--output", "w")
        out, err = done.communicate(timeout=120)
        assert done.returncode == 0 and b"\r" not in out + err
        assert [line.split(b":")[0] for line in err.splitlines()[1:]] == [b"epoch 1", b"epoch 2"]


def on_terminal(columns, *arguments):
    """The exit status and what a terminal of so many columns is sent."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(
        [sys.executable, "-m", "pyinvnets", *arguments], stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # at the end of a terminal there is no end of file
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    return started.wait(60), shown.decode()


class TestHelp:
    @pytest.mark.parametrize("command", ["tutorial", "train", "sample", "log-prob", "setup", "doctor", "validate"])
    def test_what_it_does_and_its_defaults(self, command, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit):
            run(f"{command} --help")
        help_text = capsys.readouterr().out
        assert max(map(len, help_text.splitlines())) <= 100
        description = help_text.split("\n\n")[1]
        assert description[0].isupper() and len(description) > 40
        assert "default: None" not in help_text
        options = re.split(r"\n  -", help_text.split("options:\n")[1].split("\n\n")[0])
        for option in options:
            assert "default: " in " ".join(option.split()) or option.strip().startswith(("-h", "h,", "n N")), option

    def test_how_long_the_tutorial_takes(self, capsys):
        with pytest.raises(SystemExit):
            run("tutorial --help")
        assert "about ten seconds on the NumPy engine" in capsys.readouterr().out


class TestStreams:
    def test_a_pipe(self):
        trained()
        samples, err = process("sample", "w", "-n", "50", "--seed", "2").communicate(timeout=60)
        assert np.load(io.BytesIO(samples)).shape == (50, 2) and not err
        piped = process("log-prob", "w", "-", stdin=subprocess.PIPE)
        out, err = piped.communicate(samples, timeout=60)
        assert piped.returncode == 0 and not err
        assert len(out.splitlines()) == 50

    def test_whoever_reads_has_had_enough(self):
        trained()
        np.save("many.npy", np.tile(BANANA, (10, 1)))
        started = process("log-prob", "w", "many.npy")
        started.stdout.readline()
        started.stdout.close()
        assert started.wait(60) == 1
        assert not started.stderr.read()
        started.stderr.close()

    def test_no_binary_array_on_a_terminal(self, monkeypatch, capsys):
        trained()
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
            assert run("sample w -n 3") == 1
        assert "a terminal does not show a .npy file" in capsys.readouterr().err


class TestRefused:
    def test_files(self, capsys, folder):
        bad = np.zeros((3000, 2))
        bad[1500, 1] = np.inf
        np.save("inf.npy", bad)
        bad[1500, 1] = 1e300
        np.save("large.npy", bad)
        np.save("pickled.npy", np.array([{}], object), allow_pickle=True)
        np.save("complex.npy", np.zeros((3, 2), complex))
        np.save("flat.npy", np.zeros(5))
        np.save("none.npy", np.zeros((0, 2)))
        np.savez("several.npz", a=bad)
        (folder / "text.npy").write_text("1,2\n3,4\n")
        (folder / "short.npy").write_bytes((folder / "banana.npy").read_bytes()[:-8])
        for name, message in {
            "inf.npy": "inf.npy: sample 1500, counted from 0, is not finite",
            "large.npy": "large.npy: sample 1500, counted from 0, is not finite in float32",
            "pickled.npy": "pickled.npy must hold real numbers, got a pickled object",
            "complex.npy": "must hold real numbers, got complex128",
            "flat.npy": "must have shape (n_samples, n_features) or",
            "none.npy": "must have shape (n_samples, n_features) or",
            "several.npz": "holds several arrays",
            "text.npy": "text.npy is not a whole .npy file of numbers",
            "short.npy": "short.npy is not a whole .npy file of numbers",
            "missing.npy": "missing.npy: No such file or directory",
        }.items():
            refused(f"train {name} --epochs 1", message, capsys)

    def test_places(self, capsys, folder):
        trained()
        (folder / "folder").mkdir()
        refused("train banana.npy --output none/w", "there is no folder none to write w to", capsys)
        refused("train banana.npy --history none/h.csv", "there is no folder none to write h.csv to", capsys)
        refused("train banana.npy --output folder", "folder is a folder", capsys)
        refused("train banana.npy --epochs 1 --checkpoint none/c", "there is no folder none to write c to", capsys)
        refused("sample w -n 3 --output none/s.npy", "there is no folder none to write s.npy to", capsys)
        refused("log-prob w banana.npy --output none/l.npy", "there is no folder none to write l.npy to", capsys)
        refused("sample missing -n 3 --output s.npy", "no weights file at missing", capsys)
        refused("train banana.npy --resume missing --output v", "no weights file at missing", capsys)

    def test_what_does_not_fit(self, capsys):
        trained()
        for line, message in {
            "train banana.npy --network 'NetworkGlow(3, 4, 1, 1)'": "it takes 3 columns, these have 2",
            "train banana.npy --network 'NetworkGlow(2, 4, 1, 1, foo=3)'": "unexpected keyword argument 'foo'",
            "train banana.npy --network NetworkConditionalGlow": "no default for n_cond; give --condition",
            "train banana.npy --network ActNorm": "no default for k; write them, as in ActNorm(k=2)",
            "train banana.npy --network 'ActNorm(2)'": "make it with logdet=True",
            "train x.npy --condition banana.npy": "x.npy has 300 samples, but banana.npy has 2000",
            "train x.npy --condition y.npy --network NetworkGlow": "takes no condition; leave out --condition",
            "train x.npy --network 'NetworkConditionalGlow(2, 1, 4, 1, 1)'": "takes a condition; give --condition",
            "train banana.npy --patience 2 --validation 0": "patience needs a validation objective",
            "sample w -n 3 --condition y.npy --output s.npy": "takes no condition; leave out --condition",
            "log-prob w images.npy --output l.npy": "images.npy of shape (60, 1, 8, 8), that is (N, C, H, W), does not",
        }.items():
            refused(line, message, capsys)

    def test_command_lines(self, capsys):
        for line, message in {
            "train": "the following arguments are required: DATA",
            "sample w": "the following arguments are required: -n",
            "sample w -n 0": "must be at least 1, got 0",
            "train banana.npy --validation 1": "must be from 0 to below 1, got 1",
            "train banana.npy --noise -1": "must be a finite number, zero or more, got -1",
            "train banana.npy --seed -1": "must be at least 0, got -1",
            "train banana.npy --network Glow": "Glow is no network or layer; the networks are NetworkGlow,",
            "train banana.npy --network 'NetworkGlow(2, 4'": "'(' was never closed",
        }.items():
            refused(line, message, capsys, status=2)


class TestShapes:
    """What does not fit is said in words of the file."""

    def test_images_and_rows(self, capsys):
        np.save("odd.npy", RNG.standard_normal((60, 1, 7, 7)))
        np.save("column.npy", RNG.standard_normal((60, 1)))
        np.save("lines.npy", RNG.standard_normal((60, 2, 7)))
        glow = "--network 'NetworkGlow(1, 4, 2, 1)'"
        for line, message in {
            "train odd.npy": "odd.npy of shape (60, 1, 7, 7), that is (N, C, H, W), does not fit NetworkGlow(n_in=1",
            f"train odd.npy {glow}": "images whose sizes are multiples of 4, these have 7×7 pixels; crop or pad them",
            "train column.npy": "column.npy has rows of one column, expected two or more",
            f"train banana.npy {glow}": "that is (n_samples, n_features), does not fit",
            f"train lines.npy {glow}": "that is (N, C, L), does not fit",
            "train lines.npy --network 'NetworkGlow(3, 4, 2, 1, ndims=1)'": "it takes 3 channels, these have 2",
            "train lines.npy --network 'NetworkGlow(2, 4, 1, 1, nx=6, dense=True)'": "images of 6 pixels, these have 7",
            "train images.npy --network 'NetworkGlow(1, 4, 1, 1, k1=9, p1=0)'": "and at least",
            f"train lines.npy --julia-layout {glow}": "of shape (60, 2, 7), that is (nx, n_channels, n_samples)",
        }.items():
            refused(line, message, capsys)

    def test_conditions(self, capsys):
        np.save("wide.npy", np.load("x.npy"))
        refused(
            "train x.npy --condition wide.npy --network 'NetworkConditionalGlow(2, 1, 4, 1, 1)'",
            "it takes 1 columns, these have 2",
            capsys,
        )
        assert run("train x.npy --condition x.npy --epochs 1 --network 'NetworkConditionalGlow(2, 2, 4, 1, 1)'") == 0


class TestExpressions:
    @pytest.mark.parametrize(
        "G",
        [
            inv.NetworkGlow(2, 4, 1, 2, activation=inv.SigmoidLayer(0.5, 1.0), engine="numpy"),
            inv.NetworkHyperbolic(1, ((-1, 3), (0, 2)), alpha=0.5, engine="numpy"),
            inv.Sequential(inv.ActNorm(2, logdet=True, engine="numpy"), inv.NetworkGlow(2, 4, 1, 1, engine="numpy")),
            inv.reverse(inv.ActNorm(3, engine="numpy")),
            inv.SummarizedNet(
                inv.NetworkConditionalGlow(2, 2, 4, 1, 1, engine="numpy"),
                [inv.ResidualBlock(1, 4, n_out=4, engine="numpy"), inv.ResidualBlock(2, 4, engine="numpy")],
            ),
        ],
    )
    def test_what_repr_prints(self, G):
        made = parse(repr(G)).make()
        assert repr(made) == repr(G) and type(made) is type(G)

    def test_engine_and_seed(self):
        layers = ("(2, 4, engine='julia')", "(2, 4)", "(2, 4, seed=9)")
        G = parse(f"Sequential({', '.join(f'CouplingLayerGlow{layer}' for layer in layers)})").make("numpy", 1)
        for i, seed in enumerate((1, 2, 9), 1):
            expected = inv.CouplingLayerGlow(2, 4, engine="numpy", seed=seed).state_dict()
            for name, value in expected.items():
                np.testing.assert_array_equal(G.state_dict()[f"layers[{i}].{name}"], value)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "3",
            "NetworkGlow(2, 4",
            "inv.NetworkGlow(2, 4, 1, 1)",
            "NetworkGlow(2, 4, 1, 1).sample(3)",
            "NetworkGlow(2, open('banana.npy'), 1, 1)",
            "NetworkGlow(2, 4, 1, 1, squeezer=__import__('os'))",
            "NetworkGlow(2, 4, 1, [1 for _ in (1,)])",
            "NetworkGlow(**{'n_in': 2})",
            "NetworkGlow(*(2, 4, 1, 1))",
            "NetworkLoop(4, 4, 2, lambda x: x)",
            "SigmoidLayer()",
            "print(3)",
            "Flow",
        ],
    )
    def test_nothing_else_is_read(self, text):
        with pytest.raises(
            ValueError, match="is no constructor|is no network or layer|nothing else is read|instead of"
        ):
            parse(text)
