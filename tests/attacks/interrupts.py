"""Exceptions that come at any line, as Ctrl-C, an alarm or another thread may raise them: what was interrupted changes
nothing but what it documents, and the network and the process go on as if it had not been called.

`python -m tests.attacks.interrupts --tries 50000` interrupts every public method at random lines, and ends with a table
and exit status 1 where a try failed. A failure is made again by `--method METHOD --first NUMBER --tries 1`, with the
same `--seed`.
"""

from __future__ import annotations

import argparse
import ctypes
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

import pyinvnets as inv

PACKAGE = str(Path(inv.__file__).parent)


class Interrupted(BaseException):
    """What is raised at the chosen line. No code can expect it."""


# Interrupts


class Lines:
    """Counts the lines that a call runs in the package, and raises at one of them.

    Args:
        stop: the number of the line at which to raise, none where it is zero.
        asynchronous: whether to let Python raise as it does for another thread, at the next moment that suits it, or to
            raise at the line itself.
    """

    def __init__(self, stop: int = 0, asynchronous: bool = False) -> None:
        self.stop, self.asynchronous = stop, asynchronous
        self.count = 0
        self.at = ""

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self.line if frame.f_code.co_filename.startswith(PACKAGE) else None

    def line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.count += 1
            if self.count == self.stop:
                self.at = f"{Path(frame.f_code.co_filename).relative_to(PACKAGE)}:{frame.f_lineno}"
                self.interrupt()
        return self.line

    def interrupt(self) -> None:
        if not self.asynchronous:
            raise Interrupted
        thread = ctypes.c_ulong(threading.get_ident())
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Interrupted))

    def run(self, call: Callable[[], Any]) -> bool:
        """Whether the call came to its end."""
        before = sys.gettrace()
        try:
            sys.settrace(self)
            try:
                call()
            finally:
                sys.settrace(before)
            for _ in range(1000):  # An exception that is still on its way comes here.
                pass
        except Interrupted:
            return False
        return True


# What is interrupted


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.asfortranarray(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def glow() -> inv.NetworkGlow:
    return inv.NetworkGlow(2, 2, 2, 1, split_scales=True, engine="numpy", seed=1)


def hint() -> inv.NetworkConditionalHINT:
    return inv.NetworkConditionalHINT(2, 2, 1, engine="numpy", seed=1)


def conditional() -> inv.NetworkConditionalGlow:
    return inv.NetworkConditionalGlow(2, 2, 2, 1, 1, engine="numpy", seed=1)


def composite() -> inv.Sequential:
    first = inv.ActNorm(2, logdet=True, engine="numpy")
    return inv.Sequential(first, inv.NetworkGlow(2, 2, 1, 1, engine="numpy", seed=1))


NETWORKS = {make.__name__: make for make in (glow, hint, conditional, composite)}
WITHOUT_DERIVATIVES = ("conditional",)


class Subject:
    """A network with gradients, an optimiser that has made an update, and what they give without interrupts."""

    def __init__(self, name: str, folder: Path) -> None:
        self.make, self.path = NETWORKS[name], folder / "weights"
        self.G, self.optimiser = self.make(), inv.Adam(1e-3)
        signature = self.G.signature
        count = len(signature.inputs) + (signature.condition is not None)
        self.inputs = tuple(noise(i, 4, 4, 2, 3) for i in range(count))
        *self.latents, _ = self.G.forward(*self.inputs)
        self.cotangents = tuple(noise(9 + i, *Z.shape) for i, Z in enumerate(self.latents[: len(signature.latents)]))
        self.backward()
        self.optimiser.update(self.G)
        *self.latents, _ = self.G.forward(*self.inputs)
        self.other = {name: array + 1 for name, array in self.G.state_dict().items()}
        self.weights = self.G.state_dict()
        inv.save(self.G, self.path)
        self.expected = self.given()

    def backward(self) -> None:
        self.G.backward(*self.cotangents, *self.latents)

    def held(self) -> dict[str, np.ndarray | None]:
        return {
            f"{p.name} {part}": None if (array := getattr(p, part)) is None else array.copy()
            for p in inv.get_params(self.G)
            for part in ("data", "grad")
        }

    def given(self) -> list[np.ndarray]:
        """What the network gives, the gradients of all parameters included, which it holds then."""
        results = [np.asarray(r) for r in self.G.forward(*self.inputs)]
        inv.clear_grad(self.G)
        self.backward()
        gradients = [p.grad.copy() for p in inv.get_params(self.G)]
        return [*results, self.G.log_prob(*self.inputs), *gradients]

    def fit(self) -> None:
        inv.fit(
            self.G, *self.inputs, epochs=2, batch_size=2, validation=0.3, seed=1, progress=False, noise=0.1, clip_norm=1
        )

    def forward_for_the_first_time(self) -> None:
        """Of a network that is made for it."""
        self.fresh.forward(*self.inputs)

    def sample(self) -> None:
        condition = () if self.G.signature.condition is None else self.inputs[-1:]
        self.G.sample(3, *condition, seed=1, batch_size=2)

    def jacobian(self) -> None:
        tangents = tuple(noise(5, *array.shape) for array in self.inputs)
        self.G.jacobian(*tangents, {}, *self.inputs)


@dataclass(frozen=True)
class Method:
    """A public method, and which of what a subject holds it may have changed when it is interrupted."""

    call: Callable[[Subject], Any]
    may_change: tuple[str, ...] = ()


METHODS = {
    "forward": Method(lambda s: s.G.forward(*s.inputs)),
    "first forward": Method(lambda s: s.forward_for_the_first_time()),
    "inverse": Method(lambda s: s.G.inverse(*s.latents)),
    "backward": Method(lambda s: s.backward(), ("grad",)),
    "log_prob": Method(lambda s: s.G.log_prob(*s.inputs, batch_size=2)),
    "sample": Method(lambda s: s.sample()),
    "jacobian": Method(lambda s: s.jacobian()),
    "adjoint_jacobian": Method(lambda s: s.G.adjoint_jacobian(*s.cotangents, *s.latents)),
    "fit": Method(lambda s: s.fit(), ("data", "grad")),
    "astype": Method(lambda s: s.G.astype(np.float64), ("dtype",)),
    "load_state_dict": Method(lambda s: s.G.load_state_dict(s.other), ("data",)),
    "save": Method(lambda s: inv.save(s.G, s.path)),
    "update": Method(lambda s: s.optimiser.update(s.G), ("data",)),
}


def applies(method: str, network: str) -> bool:
    return method not in ("jacobian", "adjoint_jacobian") or network not in WITHOUT_DERIVATIVES


# Whether anything is different


class Process:
    """What an interrupted call could leave switched for all others."""

    def __init__(self) -> None:
        self.errors = np.geterr()
        self.libraries = [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]
        self.threads = [library.get_num_threads() for library in self.libraries]
        self.handler = signal.getsignal(signal.SIGINT)

    def check(self) -> None:
        assert np.geterr() == self.errors, f"NumPy's handling of errors is {np.geterr()}"
        handler = signal.getsignal(signal.SIGINT)
        if handler is not self.handler:
            self.check_left(handler)
        threads = [library.get_num_threads() for library in self.libraries]
        assert threads == self.threads, f"the libraries of matrix products have {threads} threads, not {self.threads}"

    def check_left(self, handler: Any) -> None:
        """A handler that training had no time to take back does what Python's own does, and the next one takes it."""
        try:
            handler(signal.SIGINT, sys._getframe())
        except KeyboardInterrupt:
            inv.fit(glow(), noise(1, 4, 4, 2, 4), epochs=1, progress=False)
            assert signal.getsignal(signal.SIGINT) is self.handler, "Ctrl-C is not Python's own again"
        else:
            raise AssertionError("Ctrl-C is not heard any more")


def check(subject: Subject, method: str, before: dict[str, np.ndarray | None]) -> None:
    """Raise AssertionError where an interrupted call has changed what it may not."""
    G, may_change = subject.G, METHODS[method].may_change
    dtypes = {p.data.dtype for p in inv.get_params(G)}
    assert dtypes == {G.dtype}, f"the parameters are {dtypes}, and the network {G.dtype}"
    if "dtype" in may_change:
        G.astype(np.float32)
    assert G.dtype == np.float32
    for name, array in subject.held().items():
        if name.split(" ")[1] not in may_change:
            same = array is before[name] is None or (array is not None and np.array_equal(array, before[name]))
            assert same, f"{name} has changed"
    if method == "first forward":
        check_fresh(subject)
    assert inv.load(subject.path, engine="numpy").state_dict().keys() == subject.weights.keys()
    G.load_state_dict(subject.weights)
    results = subject.given()
    assert len(results) == len(subject.expected)
    for i, (result, expected) in enumerate(zip(results, subject.expected, strict=True)):
        assert np.array_equal(result, expected), f"result {i} is another"
    subject.optimiser.update(G)  # It is made of the memory that the parameters are in.
    changed = [not np.array_equal(p.data, subject.weights[p.name]) for p in inv.get_params(G)]
    assert any(changed), "an update does not reach the parameters"
    G.load_state_dict(subject.weights)


def check_fresh(subject: Subject) -> None:
    """A first batch sets every ActNorm or none."""
    unset = {p.data is None for p in inv.get_params(subject.fresh) if p.lazy}
    assert len(unset) == 1, "some ActNorm are set and others are not"
    assert subject.fresh.initialised != unset.pop()
    expected = subject.make().forward(*subject.inputs)
    for result, right in zip(subject.fresh.forward(*subject.inputs), expected, strict=True):
        assert np.array_equal(result, right), "the first forward gives something else after an interrupted one"


class Attack:
    """Tries of all methods, each of which is known by its number.

    Args:
        folder: for weights.
        seed: of what is drawn for each try.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.subjects: dict[str, Subject] = {}
        self.lines: dict[tuple[str, str], int] = {}
        self.process = Process()

    def subject(self, name: str) -> Subject:
        if name not in self.subjects:
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            self.subjects[name] = Subject(name, folder)
        return self.subjects[name]

    def attempt(self, method: str, number: int) -> str | None:
        """Interrupt a method once.

        Returns:
            What has gone wrong, or `None`.
        """
        rng = np.random.default_rng((self.seed, list(METHODS).index(method), number))
        name = str(rng.choice([n for n in NETWORKS if applies(method, n)]))
        subject = self.subject(name)
        subject.fresh = subject.make()
        lines = Lines(int(rng.integers(1, self.number_of_lines(name, method) + 1)), bool(rng.integers(2)))
        before = subject.held()
        lines.run(lambda: METHODS[method].call(subject))
        try:
            self.process.check()
            check(subject, method, before)
        except Exception as error:
            del self.subjects[name]  # The next one begins anew.
            np.seterr(**self.process.errors)
            signal.signal(signal.SIGINT, self.process.handler)
            how = "asynchronously" if lines.asynchronous else "at once"
            return f"{method} of {name}, interrupted {how} at {lines.at}: {type(error).__name__}: {error}"
        return None

    def number_of_lines(self, name: str, method: str) -> int:
        if (name, method) not in self.lines:
            subject = self.subject(name)
            subject.fresh = subject.make()
            lines = Lines()
            lines.run(lambda: METHODS[method].call(subject))
            self.lines[name, method] = lines.count
            check(subject, method, subject.held())
        return self.lines[name, method]


def attack(
    tries: int, seed: int, folder: Path, methods: tuple[str, ...] = tuple(METHODS), first: int = 0
) -> tuple[Counter[str], list[str]]:
    """So many tries in all.

    Returns:
        The number of tries of each method, and what went wrong.
    """
    made: Counter[str] = Counter()
    failures = []
    attack = Attack(folder, seed)
    for i in range(tries):
        method = methods[i % len(methods)]
        number = first + i // len(methods)
        failure = attack.attempt(method, number)
        made[method] += 1
        if failure:
            failures.append(f"--method {method!r} --first {number}: {failure}")
    return made, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=1000, help="of all methods together (default: 1000)")
    parser.add_argument("--method", choices=METHODS, help="this one alone")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="of the first try")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    methods = (options.method,) if options.method else tuple(METHODS)
    with tempfile.TemporaryDirectory() as folder:
        made, failures = attack(options.tries, options.seed, Path(folder), methods, options.first)
    for failure in failures:
        print(failure)
    print(f"{'method':20} {'tries':>7}")
    for method, count in made.items():
        print(f"{method:20} {count:7,}")
    print(f"{sum(made.values()):,} tries, {len(failures)} failed")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
