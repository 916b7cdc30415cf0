"""Training on images in an HDF5 and a Zarr file, larger than the memory that it may use, against images in memory.

    pip install '.[data]' && python benchmarks/data.py --gigabytes 8 --folder /tmp

The files are made on the spot, compressed, with images 64x64x3 in float32 that look like photographs to a compressor:
smooth, with noise in the last bits, some of them zeros. Each training is a process of its own: one epoch of a GLOW
network on the NumPy engine through the whole file, and before and after as many samples as fit in memory easily, from
memory. Memory is the process's peak resident size, which the operating system's cache of the file is not part of.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import pyinvnets as inv

SIDE, CHANNELS, CHUNK = 64, 3, 64
IMAGE = 4 * CHANNELS * SIDE * SIDE
KINDS = ("hdf5", "zarr")
IN_MEMORY = 2048
"""Samples of a training from memory."""


def images(number, seed):
    """Smooth images with some noise, `(N, C, H, W)`, rounded so that a third of each number's bits are zeros."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((number, CHANNELS, SIDE // 8, SIDE // 8), dtype=np.float32)
    fine = coarse.repeat(8, axis=2).repeat(8, axis=3)
    fine += 0.1 * rng.standard_normal(fine.shape, dtype=np.float32)
    return (np.round(fine * 256) / 256).astype(np.float32)


def made(kind, path, number):
    """A file with so many images, and the seconds that it took."""
    start = time.perf_counter()
    shape, chunks = (number, CHANNELS, SIDE, SIDE), (CHUNK, CHANNELS, SIDE, SIDE)
    if kind == "hdf5":
        import h5py

        file = h5py.File(path, "w")
        target = file.create_dataset("images", shape, "f4", chunks=chunks, compression="gzip", compression_opts=1)
    else:
        import zarr

        target = zarr.open(str(path), mode="w", shape=shape, dtype="f4", chunks=chunks)  # compressed by default
    for first in range(0, number, 16 * CHUNK):
        count = min(16 * CHUNK, number - first)
        target[first : first + count] = images(count, first)
    if kind == "hdf5":
        file.close()
    return time.perf_counter() - start


def size_of(path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def worker(kind, path, hidden, steps):
    if kind == "hdf5":
        import h5py

        X = h5py.File(path)["images"]
    elif kind == "zarr":
        import zarr

        X = zarr.open(str(path), mode="r")
    else:
        X = np.asfortranarray(images(IN_MEMORY, 0).T)
    samples = X.shape[-1] if kind == "memory" else X.shape[0]
    G = inv.NetworkGlow(CHANNELS, hidden, 2, steps, split_scales=True, engine="numpy", seed=1)
    start = time.perf_counter()
    inv.fit(G, X, epochs=1, batch_size=64, validation=0, seed=1, progress=False)
    seconds = time.perf_counter() - start
    resident = int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    print(json.dumps({"rate": samples / seconds, "resident": resident, "seconds": seconds}))


def train(kind, path, arguments):
    given = [
        "--worker",
        kind,
        "--folder",
        str(path),
        "--hidden",
        str(arguments.hidden),
        "--steps",
        str(arguments.steps),
    ]
    done = subprocess.run([sys.executable, __file__, *given], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=8, help="of images in each file (default 8)")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files are made (default: here)")
    parser.add_argument("--hidden", type=int, default=32, help="hidden channels of the network (default 32)")
    parser.add_argument("--steps", type=int, default=4, help="flow steps at each of two scales (default 4)")
    parser.add_argument("--kind", choices=KINDS, help="of file (default: each)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments.folder, arguments.hidden, arguments.steps)
        return
    number = int(arguments.gigabytes * 1e9 / IMAGE)
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")
    print(f"{number} images 64x64x3, {number * IMAGE / 1e9:.1f} GB")
    for kind in [arguments.kind] if arguments.kind else KINDS:
        path = arguments.folder / f"images.{kind}"
        try:
            seconds = made(kind, path, number)
            before = train("memory", path, arguments)["rate"]
            found = train(kind, path, arguments)
            memory = statistics.mean((before, train("memory", path, arguments)["rate"]))
            print(
                f"{kind}: {size_of(path) / 1e9:.1f} GB on disk, made in {seconds:.0f} s; an epoch in "
                f"{found['seconds']:.0f} s, {found['rate']:.0f} samples/s, {found['rate'] / memory:.2f} times those "
                f"from memory ({memory:.0f}), {found['resident']:.0f} MB resident at most",
                flush=True,
            )
        finally:
            subprocess.run(["rm", "-rf", str(path)], check=True)


if __name__ == "__main__":
    main()
