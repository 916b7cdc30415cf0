"""Time of `import pyinvnets` in a fresh process, of the whole tutorial command on the NumPy engine, and, where Julia is
set up, from the import to the first gradient on the Julia engine, with a system image in turns where there is one.

python benchmarks/start.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from pyinvnets.engines.julia import image, installation, ready


def seconds(*command):
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - start


def median_seconds(*command, repeats=7):
    return statistics.median(seconds(*command) for _ in range(repeats))


FIRST_GRADIENT = """
import time
begun = time.perf_counter()
import numpy as np
import pyinvnets as inv
G = inv.NetworkGlow(2, 16, 1, 10, seed=1, engine="julia")
Z, _ = G.forward(np.random.default_rng(0).standard_normal((1, 1, 2, 150), dtype=np.float32))
G.backward(Z / 150, Z)
print(time.perf_counter() - begun)
"""


def first_gradient(**environment):
    done = subprocess.run(
        [sys.executable, "-c", FIRST_GRADIENT], check=True, capture_output=True, text=True, env=os.environ | environment
    )
    return float(done.stdout.split()[-1])


def julia():
    """Seconds from the import to the first gradient, by way of starting."""
    found = installation.find()
    ways = {"packages": {}}
    if image.usable(found):
        # Julia's own image, named by the user, goes before the one that was built.
        library = (found.library or found.executable.resolve().parents[1] / "lib" / "libjulia.so").parent
        ways = {"packages": {"PYTHON_JULIACALL_SYSIMAGE": str(library / "julia" / "sys.so")}, "system image": {}}
    for environment in ways.values():
        first_gradient(**environment)
    taken = {name: [] for name in ways}
    for _ in range(5):
        for name, environment in ways.items():
            taken[name].append(first_gradient(**environment))
    for name, times in taken.items():
        print(f"first gradient     {statistics.median(times):.2f} s from {name} ({min(times):.2f} to {max(times):.2f})")


def main():
    bare = median_seconds("-c", "pass")
    numpy = median_seconds("-c", "import numpy") - bare
    package = median_seconds("-c", "import pyinvnets") - bare
    print(f"import pyinvnets   {package:.3f} s, of which numpy {numpy:.3f} s")
    with tempfile.TemporaryDirectory() as folder:
        command = ("-m", "pyinvnets", "tutorial", "--engine", "numpy", "--overwrite", "--output", folder)
        print(f"tutorial command   {median_seconds(*command, repeats=3):.1f} s")
    if ready():
        julia()


if __name__ == "__main__":
    main()
