"""SIGKILL of `python -m pyinvnets train` at random moments: whatever happens, a resumed training ends as one that was
never stopped, to the last bit.

`python -m tests.attacks.kills --kills 200` ends with exit status 1 where one did not.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pyinvnets as inv

ROOT = Path(__file__).parents[2]
TRAIN = ["train", "x.npy", "--network", "NetworkGlow(2, 8, 1, 2)", "--seed", "1", "--engine", "numpy"]
EPOCHS = 40


def start(folder: Path, *more: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pyinvnets", *TRAIN, "--epochs", str(EPOCHS), *more]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(training: subprocess.Popen) -> None:
    _, errors = training.communicate(timeout=300)
    if training.returncode:
        raise AssertionError(f"train ended with {training.returncode}: {errors[-500:]}")


def expected(folder: Path) -> dict[str, np.ndarray]:
    """The weights of a training that is left alone."""
    np.save(folder / "x.npy", np.random.default_rng(0).standard_normal((400, 2)))
    finish(start(folder, "--output", "whole", "--checkpoint", "unused"))
    return inv.load(folder / "whole", engine="numpy").state_dict()


def attack(folder: Path, kills: int, seed: int) -> int:
    """Kill and resume so many times, in as many trainings as it takes.

    Returns:
        The number of trainings that came to their end, each with the weights that are expected.

    Raises:
        AssertionError: other weights, a file that cannot be read, or files that are left.
    """
    rng = np.random.default_rng(seed)
    whole = expected(folder)
    trainings = 0
    while kills > 0:
        for file in (*folder.glob("w*"), *folder.glob("c*"), *folder.glob(".[wc]*")):
            if file.name != "whole":
                file.unlink()
        while kills > 0 and not (folder / "w").exists():
            kills -= killed(start(folder, *places(folder)), rng, (folder / "c"))
        if not (folder / "w").exists() or not (folder / "w-history.csv").exists():
            finish(start(folder, *places(folder), "--overwrite"))
        trainings += 1
        state = inv.load(folder / "w", engine="numpy").state_dict()
        assert state.keys() == whole.keys() and all(np.array_equal(state[k], v) for k, v in whole.items())
        inv.save(inv.load(folder / "w", engine="numpy"), folder / "w")
        check_leftovers(folder)
    return trainings


def places(folder: Path) -> list[str]:
    again = ["--resume", "c"] if (folder / "c").exists() else ["--checkpoint", "c"]
    return [*again, "--output", "w"]


def killed(training: subprocess.Popen, rng: np.random.Generator, checkpoint: Path) -> bool:
    """Whether a training was killed before its end, mostly once it has begun to write."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
    until = time.monotonic() + 30
    if rng.random() < 0.9:
        while training.poll() is None and time.monotonic() < until:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                break
            time.sleep(0.001)
    time.sleep(float(rng.uniform(0, 0.05)))
    training.send_signal(signal.SIGKILL)
    training.communicate(timeout=60)
    return training.returncode == -signal.SIGKILL


def check_leftovers(folder: Path) -> None:
    """What was killed while it wrote is swept away by a later write, once it is a minute old."""
    for name in ("w", "c"):
        left = list(folder.glob(f".{name}-*"))
        for file in left:
            os.utime(file, (0, 0))
        if left:
            inv.save(inv.ActNorm(2, engine="numpy"), folder / name)
            assert not list(folder.glob(f".{name}-*"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="(default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        trainings = attack(Path(folder), options.kills, options.seed)
    print(f"{options.kills} kills, {trainings} trainings, all with the weights of one that was left alone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
