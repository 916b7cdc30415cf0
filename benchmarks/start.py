"""Time of `import pyinvnets` in a fresh process, and of the whole tutorial command on the NumPy engine.

python benchmarks/start.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time


def seconds(*command):
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - start


def median_seconds(*command, repeats=7):
    return statistics.median(seconds(*command) for _ in range(repeats))


def main():
    bare = median_seconds("-c", "pass")
    numpy = median_seconds("-c", "import numpy") - bare
    package = median_seconds("-c", "import pyinvnets") - bare
    print(f"import pyinvnets   {package:.3f} s, of which numpy {numpy:.3f} s")
    with tempfile.TemporaryDirectory() as folder:
        command = ("-m", "pyinvnets", "tutorial", "--engine", "numpy", "--output", folder)
        print(f"tutorial command   {median_seconds(*command, repeats=3):.1f} s")


if __name__ == "__main__":
    main()
