"""Time and peak memory of one update on a GPU over depth, beside PyTorch's normflows on the same GPU.

    pip install '.[benchmark]' && python benchmarks/gpu.py

As in upstream's paper: images 256x256x3, batch 8, 3 scales of K steps, 256 hidden channels. States are recomputed by
inversion, so memory should not grow with K but for the parameters. Each figure is from a process of its own; memory is
what the driver counts, above what is taken before, without the libraries' pools, which keep what they once had.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time

from updates import noise, normflows, updating

import pyinvnets as inv

SHAPE, N_HIDDEN, L = (256, 256, 3, 8), 256, 3
DEPTHS = (4, 8, 16, 32, 48)
WITHOUT_POOLS = {"JULIA_CUDA_MEMORY_POOL": "none", "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}


def ours(K):
    G = inv.NetworkGlow(SHAPE[2], N_HIDDEN, L, K, split_scales=True, engine="julia", seed=1).gpu()
    return updating(G, inv.gpu(noise(SHAPE)))


def theirs(K):
    import torch

    step = normflows(SHAPE, N_HIDDEN, L, K, device="cuda")

    def update():
        step()
        torch.cuda.synchronize()

    return update


def taken():
    """MiB in use on the GPU."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout)


def peak(update):
    """The most memory in use during an update."""
    seen, done = [taken()], threading.Event()

    def watch():
        while not done.is_set():
            seen.append(taken())

    watcher = threading.Thread(target=watch)
    watcher.start()
    update()
    done.set()
    watcher.join()
    return max(seen)


def seconds(update):
    times = []
    for _ in range(5):
        start = time.perf_counter()
        update()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(library, K, what):
    before = taken()
    update = {"ours": ours, "normflows": theirs}[library](K)
    update()
    return peak(update) - before if what == "memory" else seconds(update)


def in_a_process(library, K, what):
    environment = os.environ | (WITHOUT_POOLS if what == "memory" else {})
    command = [sys.executable, __file__, "--one", library, str(K), what]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return float(run.stdout) if run.returncode == 0 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=3, metavar=("LIBRARY", "K", "WHAT"), help=argparse.SUPPRESS)
    one = parser.parse_args().one
    if one:
        print(measure(one[0], int(one[1]), one[2]))
        return
    if not inv.gpu_available():
        sys.exit("there is no GPU that CUDA.jl can use here; nothing was measured")
    print(f"{'K':>3} {'ours':>20} {'normflows':>22}")
    for K in DEPTHS:
        figures = []
        for library in ("ours", "normflows"):
            s, mib = (in_a_process(library, K, what) for what in ("time", "memory"))
            figures.append("failed" if s is None or mib is None else f"{s:7.2f} s {mib / 1024:7.1f} GiB")
        print(f"{K:3} {figures[0]:>20} {figures[1]:>22}", flush=True)


if __name__ == "__main__":
    main()
