"""How much longer a training takes beside busy processes: `python benchmarks/busy.py`.

Two processes that do nothing but count run beside `fit` of a GLOW network of images on the NumPy engine. The machine
must have nothing else to do, which the first line of the output shows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

import numpy as np

import pyinvnets as inv


def seconds(updates, threads=None):
    """Of one `fit` with so many updates."""
    inv.set_num_threads(threads)
    X = np.asfortranarray(np.random.default_rng(0).standard_normal((64, 64, 3, 8 * updates), dtype=np.float32))
    G = inv.NetworkGlow(3, 64, 2, 8, split_scales=True, engine="numpy", seed=1)
    start = time.perf_counter()
    inv.fit(G, X, epochs=1, batch_size=8, validation=0, seed=1, progress=False)
    return time.perf_counter() - start


def in_own_process(arguments):
    """What one training learns about the machine is unknown to the next one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(seconds, (2, arguments.threads))
        return pool.apply(seconds, (arguments.updates, arguments.threads))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=20, help="updates of a training (default 20)")
    parser.add_argument("--rounds", type=int, default=3, help="trainings alone and beside, in turns (default 3)")
    parser.add_argument("--threads", type=int, help="for pyinvnets.set_num_threads")
    arguments = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")
    alone, beside = [], []
    for _ in range(arguments.rounds):
        alone.append(in_own_process(arguments))
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
        beside.append(in_own_process(arguments))
        for process in busy:
            process.terminate()
    before, after = statistics.median(alone), statistics.median(beside)
    print(f"alone {before:.2f} s, beside two busy processes {after:.2f} s: {after / before:.2f} times as long")


if __name__ == "__main__":
    main()
