"""Mutated files: whatever is in them, a reader takes or refuses them, at once, in little memory, and changes nothing.

`python -m tests.attacks.files --tries 20000` attacks each of the five kinds so many times, and ends with a table and
exit status 1 where any try failed. A failure is made again by `--kind KIND --first NUMBER --tries 1`, with the same
`--seed`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import pyinvnets as inv
from pyinvnets.storage import npy
from pyinvnets.validation.cases import CASES

from . import jld2_files

ROOT = Path(__file__).parents[2]
SECONDS = 1.0
"""Of the processor, for one file."""
MEGABYTES = 200
"""Beyond the file."""
BATCH = 500
"""Tries of one process."""

REFUSALS = (ValueError, FileNotFoundError)
"""What the readers document. `fit` documents TypeError for arguments, which a file is not."""


# Damage


NUMBERS = (0, 1, -1, 2, 127, 128, 255, 2**15, 2**31 - 1, -(2**31), 2**31, 2**32 - 1, 2**40, 2**62, -(2**62))


def flip_bits(rng: np.random.Generator, content: bytearray) -> None:
    for _ in range(rng.integers(1, 9)):
        content[place(rng, content)] ^= 1 << rng.integers(8)


def change_bytes(rng: np.random.Generator, content: bytearray) -> None:
    for _ in range(rng.integers(1, 4)):
        content[place(rng, content)] = int(rng.choice([0, 1, 2, 3, 4, 5, 0x10, 0x7F, 0x80, 0xFF, rng.integers(256)]))


def change_number(rng: np.random.Generator, content: bytearray) -> None:
    """Four or eight bytes that may be a size."""
    form = "<i" if rng.random() < 0.6 else "<q"
    number = int(rng.choice(NUMBERS)) if rng.random() < 0.7 else int(rng.integers(-300, 300))
    bits = 8 * struct.calcsize(form)
    number = (number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    at = place(rng, content)
    content[at : at + bits // 8] = struct.pack(form, number)


def cut(rng: np.random.Generator, content: bytearray) -> None:
    del content[place(rng, content) :]


def drop(rng: np.random.Generator, content: bytearray) -> None:
    at = place(rng, content)
    del content[at : at + int(rng.integers(1, 64))]


def repeat(rng: np.random.Generator, content: bytearray) -> None:
    at, to = place(rng, content), place(rng, content)
    content[to:to] = content[at : at + int(rng.integers(1, 200))]


def splice(rng: np.random.Generator, content: bytearray) -> None:
    at, to, size = place(rng, content), place(rng, content), int(rng.integers(1, 200))
    content[to : to + size] = content[at : at + size]


def change_digits(rng: np.random.Generator, content: bytearray) -> None:
    """A number in text, such as a shape or a constructor's argument."""
    found = list(re.finditer(rb"-?\d+", content[:20_000]))
    if found:
        at = found[rng.integers(len(found))]
        content[at.start() : at.end()] = str(int(rng.choice(NUMBERS))).encode() * int(rng.integers(1, 3))


def place(rng: np.random.Generator, content: bytearray) -> int:
    """Mostly near the beginning, where files say what they hold."""
    size = len(content)
    return int(rng.integers(max(1, min(size, 600) if rng.random() < 0.5 else size)))


ANYWHERE = (flip_bits, change_bytes, change_number, cut, drop, repeat, splice, change_digits)

STRANGE = (
    *(None, True, 0, -1, 1.5, 1e400, float("nan"), 2**31, 2**70, "", "a", [], [[]], {}, {"class": "get_engine"}),
    {"class": "ActNorm", "arguments": {"k": 2}},
    {"class": "SigmoidLayer", "arguments": {"low": 3}},
    {"class": "NetworkGlow", "arguments": {"n_in": 10**6, "n_hidden": 10**6, "L": 1, "K": 1}},
    *("NetworkGlow", "Sequential", "ReversedFlow", "Layer", "FluxBlock", "float64", "bfloat16", [1, 1], [2] * 3000),
)


def change_json(rng: np.random.Generator, value):
    """A JSON value with one place of it changed, at any depth."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = list(value)[rng.integers(len(value))]
        kind = rng.random()
        if kind < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if kind < 0.2:
            return value | {str(rng.choice(["engine", "n_in", "network", "layers", "ndims", "x"])): strange(rng)}
        return value | {key: change_json(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.integers(len(value))
        return [*value[:at], change_json(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, str) and value[:1] in "[{":  # JSON in JSON, as in the metadata
        with contextlib.suppress(ValueError):
            return json.dumps(change_json(rng, json.loads(value)))
    if type(value) is int and rng.random() < 0.5:
        return value + int(rng.integers(-3, 4))
    return strange(rng)


def strange(rng: np.random.Generator):
    return STRANGE[rng.integers(len(STRANGE))]


def change_header(rng: np.random.Generator, content: bytearray) -> None:
    """A safetensors file whose header is changed as JSON, so that its own reader finds it whole."""
    size = struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8 : 8 + size])
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.8:
            header["__metadata__"] = change_json(rng, header["__metadata__"])
        else:
            header = change_json(rng, header)
        if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
            break
    if isinstance(header, dict) and isinstance(header.get("__metadata__"), dict):
        whole = {k: v if isinstance(v, str) else json.dumps(v) for k, v in header["__metadata__"].items()}
        header["__metadata__"] = whole
    text = json.dumps(header).encode()
    content[: 8 + size] = struct.pack("<Q", len(text)) + text


def nest(rng: np.random.Generator, content: bytearray) -> None:
    """A header that is nested deeper than a reader can follow."""
    size = struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8 : 8 + size])
    metadata = header["__metadata__"]
    key = list(metadata)[rng.integers(len(metadata))]
    deep = int(rng.choice([10, 120, 900, 30_000]))
    form = (("[", "]"), ('{"class": ', "}"), ('{"class": "Sequential", "arguments": {"layers": [', "]}}"))[
        rng.integers(3)
    ]
    metadata[key] = form[0] * deep + "3" + form[1] * deep
    text = json.dumps(header).encode()
    content[: 8 + size] = struct.pack("<Q", len(text)) + text


def damaged(rng: np.random.Generator, content: bytes, structured: tuple[Callable, ...]) -> bytes:
    """A copy with one to three changes."""
    changed = bytearray(content)
    if structured and rng.random() < 0.6:
        structured[rng.integers(len(structured))](rng, changed)
        if rng.random() < 0.8:
            return bytes(changed)
    for _ in range(1 if rng.random() < 0.7 else 3):
        if changed:
            ANYWHERE[rng.integers(len(ANYWHERE))](rng, changed)
    return bytes(changed)


# Whole files, and their readers


class Kind:
    """One kind of file.

    Attributes:
        wholes: files that are as they should be.
        structured: changes besides those that any file may suffer.
    """

    structured: tuple[Callable, ...] = ()
    wholes: list[bytes]

    def read(self, path: Path, which: int) -> None:
        """Read a file that was made of `wholes[which]`; raises AssertionError where what comes is not as documented."""
        raise NotImplementedError


class Weights(Kind):
    """`inv.load`."""

    structured = (change_header, change_header, change_header, nest)

    def __init__(self, folder: Path) -> None:
        self.wholes = []
        for name, case in CASES.items():
            if not name.startswith("NetworkLoop"):
                inv.save(case.network("numpy"), folder / "w")
                self.wholes.append((folder / "w").read_bytes())

    def read(self, path: Path, which: int) -> None:
        network = inv.load(path, engine="numpy")
        assert network.dtype in (np.float32, np.float64)
        assert all(p.data is None or np.isfinite(p.data.size) for p in inv.get_params(network))


class Checkpoints(Kind):
    """`inv.fit(..., resume=...)`, which must leave the network alone where it refuses the file."""

    structured = (change_header,)

    def __init__(self, folder: Path) -> None:
        self.X = inv.sample_banana(60, seed=1, engine="numpy")
        self.options = [
            {"validation": 0.1, "optimizer": inv.Adam},
            {"validation": 0, "optimizer": functools.partial(inv.SGD, momentum=0.9)},
            {"validation": 0.2, "optimizer": inv.AdamW, "learning_rate": inv.CosineDecay(1e-2, 10)},
        ]
        self.wholes = []
        for options in self.options:
            self.fit(options, checkpoint=folder / "c")
            self.wholes.append((folder / "c").read_bytes())

    def fit(self, options: dict, **more) -> None:
        self.network = inv.NetworkGlow(2, 4, 1, 2, engine="numpy", seed=1)
        self.before = self.network.state_dict()
        inv.fit(self.network, self.X, epochs=1, batch_size=20, seed=1, progress=False, **options, **more)

    def read(self, path: Path, which: int) -> None:
        try:
            self.fit(self.options[which], resume=path)
        except Exception:
            after = self.network.state_dict()
            assert after.keys() == self.before.keys(), "a refused checkpoint left other parameters"
            same = all(np.array_equal(after[name], value) for name, value in self.before.items())
            assert same, "a refused checkpoint changed the network"
            assert self.network.spatial is None, "a refused checkpoint set the image size"
            raise


class Bson(Kind):
    """`inv.load_bson`, and `inv.set_params` with what it gives."""

    def __init__(self, folder: Path) -> None:
        self.wholes = [(ROOT / "tests" / "golden" / "glow_1d.bson").read_bytes()]

    def read(self, path: Path, which: int) -> None:
        values = inv.load_bson(path)
        assert all(value is None or isinstance(value, np.ndarray) for value in values)
        network = inv.NetworkGlow(2, 8, 1, 2, ndims=1, engine="numpy", seed=1)
        before = network.state_dict()
        try:
            inv.set_params(network, values)
        except ValueError:
            after = network.state_dict()
            assert after.keys() == before.keys() and all((after[k] == v).all() for k, v in before.items())


class Jld2(Kind):
    """`inv.load_jld2`."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        values = [rng.standard_normal(shape) for shape in ((2,), (3, 1, 8), (4, 2, 3, 5))]
        params = [jld2_files.parameter(value, np.ones(2)) for value in values] + [jld2_files.parameter(None)]
        variables = {"params": params, "group": {"losses": np.arange(3.0)}}
        network = jld2_files.Struct("InvertibleNetworks.NetworkGlow", AN=params, L=2)
        golden = ROOT / "tests" / "golden"
        self.wholes = [(golden / name).read_bytes() for name in ("glow_1d.jld2", "glow_1d_network.jld2")]
        for content, compress in ((variables, False), (variables, True), ({"G": network}, False)):
            jld2_files.write(folder / "x.jld2", content, compress=compress)
            self.wholes.append((folder / "x.jld2").read_bytes())

    def read(self, path: Path, which: int) -> None:
        assert all(value is None or isinstance(value, np.ndarray) for value in inv.load_jld2(path))


class Arrays(Kind):
    """What the command line reads, `.npy` files."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        shapes = [(20, 2), (6, 1, 4, 4), (5, 2, 3), (3, 1, 2, 2, 4)]
        arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes for dtype in ("<f4", "<f8", ">f4", "u1")]
        arrays += [np.asfortranarray(array) for array in arrays]
        self.wholes = []
        for array in arrays:
            np.save(folder / "x.npy", array)
            self.wholes.append((folder / "x.npy").read_bytes())

    def read(self, path: Path, which: int) -> None:
        samples = npy.read(str(path))
        X = npy.to_network(str(path), samples, None, np.dtype(np.float32))
        assert X.dtype == np.float32 and np.isfinite(X).all()


KINDS: dict[str, type[Kind]] = {
    "weights": Weights,
    "checkpoint": Checkpoints,
    "bson": Bson,
    "npy": Arrays,
    "jld2": Jld2,
}


# One process


class Hang(BaseException):
    """A file took too long. No reader catches it."""


def attack(name: str, seed: int, first: int, tries: int) -> Iterator[tuple[int, str]]:
    """The number and the outcome of each try: "read", "refused", or what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        kind = KINDS[name](Path(folder))
        path = Path(folder) / "damaged"
        for number in range(first, first + tries):
            rng = np.random.default_rng((seed, list(KINDS).index(name), number))
            which = int(rng.integers(len(kind.wholes)))
            path.write_bytes(damaged(rng, kind.wholes[which], kind.structured))
            yield number, outcome(kind, path, which)


def outcome(kind: Kind, path: Path, which: int) -> str:
    before, start = resident_peak(), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        kind.read(path, which)
        result = "read"
    except REFUSALS as error:
        result = "refused" if str(path) in str(error) or isinstance(kind, Checkpoints) else f"unnamed file: {error}"
    except Hang:
        result = f"hang: more than {SECONDS} s"
    except BaseException as error:
        result = f"undocumented: {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if time.process_time() - start > SECONDS:
        result = f"hang: {time.process_time() - start:.1f} s"
    used = (resident_peak() - before) / 2**20
    if used > MEGABYTES + path.stat().st_size / 2**20:
        result = f"memory: {used:.0f} MB"
    return result


def resident_peak() -> int:
    """The largest size in memory since the last call, which begins a new measurement on Linux."""
    try:
        status = Path("/proc/self/status").read_text()
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) * 1024


def expire(*_: object) -> None:
    raise Hang


def worker(name: str, seed: int, first: int, tries: int) -> None:
    """Attack and print the outcome of each try. The limit on memory keeps the machine from harm."""
    resource.setrlimit(resource.RLIMIT_AS, (2**33, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGPROF, expire)
    warnings.simplefilter("ignore")  # of numbers too large for the network, which are damage that is a number
    resident_peak()
    for number, result in attack(name, seed, first, tries):
        print(json.dumps([number, result]), flush=True)


# All processes


def run(name: str, seed: int, first: int, tries: int) -> tuple[Counter, list[tuple[int, str]]]:
    """How often each outcome came, and the tries that failed."""
    outcomes, failures = Counter(), []
    while tries > 0:
        count = min(tries, BATCH)
        line = ["--worker", "--kind", name, "--seed", str(seed), "--first", str(first), "--tries", str(count)]
        command = [sys.executable, "-m", "tests.attacks.files", *line]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60 + count, check=False)
            output, ended = done.stdout, f"ended with {done.returncode}: {done.stderr[-300:]}"
        except subprocess.TimeoutExpired as expired:
            output, ended = (expired.stdout or b"").decode(), "hang: the process was killed"
        results = [json.loads(text) for text in output.splitlines() if text.endswith("]")]
        if len(results) < count:
            results.append([first + len(results), ended])
        outcomes.update(result.split(":")[0] for _, result in results)
        failures += [(number, result) for number, result in results if result not in ("read", "refused")]
        first, tries = first + len(results), tries - len(results)
    return outcomes, failures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=1000, help="files of each kind (default: 1000)")
    parser.add_argument("--kind", choices=KINDS, help="(default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first try (default: 0)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        worker(options.kind, options.seed, options.first, options.tries)
        return 0
    failed = 0
    for name in [options.kind] if options.kind else KINDS:
        outcomes, failures = run(name, options.seed, options.first, options.tries)
        print(f"{name:12}{', '.join(f'{count:,} {result}' for result, count in sorted(outcomes.items()))}", flush=True)
        for number, result in failures[:20]:
            print(f"    {number}: {result}")
        failed += len(failures)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
