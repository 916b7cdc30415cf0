"""Peak memory of forward and backward over depth, on the NumPy engine.

    python benchmarks/memory.py

States are recomputed by inversion, so only the parameters grow with the number of flow steps. Measured by
tracemalloc, which sees every NumPy array; the network's own vectors (parameters and gradients) are taken off.
"""

from __future__ import annotations

import tracemalloc

import numpy as np

import pyinvnets as inv

SHAPE = (128, 128, 3, 4)
DEPTHS = (4, 8, 16, 32)
MIB = 2**20


def peak(K):
    """Bytes that forward and backward add at their peak to what the network and the batch take."""
    X = np.asfortranarray(np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32))
    G = inv.NetworkGlow(SHAPE[2], 32, 2, K, engine="numpy", seed=1)
    G.forward(X)
    tracemalloc.start()
    Z, _ = G.forward(X)
    G.backward(Z / SHAPE[-1], Z)
    bytes_at_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return bytes_at_peak, 2 * sum(p.data.nbytes for p in inv.get_params(G))


def main():
    print(f"{'K':>3} {'peak':>12} {'to K=' + str(DEPTHS[0]):>9} {'parameters and gradients':>26}")
    first = None
    for K in DEPTHS:
        bytes_at_peak, of_parameters = peak(K)
        first = first or bytes_at_peak
        print(
            f"{K:3} {bytes_at_peak / MIB:8.1f} MiB {100 * (bytes_at_peak / first - 1):+7.1f} % "
            f"{of_parameters / MIB:22.2f} MiB"
        )


if __name__ == "__main__":
    main()
