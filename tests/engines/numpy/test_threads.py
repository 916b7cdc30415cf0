"""Several threads, each with a part of the batch: the same numbers, and nothing left behind."""

from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from helpers.interrupts import interrupted, lines
from pyinvnets.engines import threads
from pyinvnets.engines.numpy import model
from pyinvnets.validation.cases import CASES, REVERSED, Run


def is_cut(case):
    made = case.make(engine="numpy", seed=1).model
    return isinstance(made, model.NumpyModel) and getattr(made.layer, "sample_by_sample", False)


def samples(case):
    run = Run(case, "numpy")
    return next(array.shape[-1] for array in (*run.inputs, *run.outputs) if array.ndim > 1)


ALL = CASES | REVERSED
CUT = [name for name, case in ALL.items() if is_cut(case) and samples(case) > 1]


@pytest.fixture
def two(monkeypatch):
    """Two threads for any batch, whatever else the machine does."""
    monkeypatch.setattr(model, "LARGE", 0)
    monkeypatch.setattr(threads, "CROWD", threads.Crowd())
    monkeypatch.setattr(threads.Crowd, "judge", lambda *arguments: None)
    inv.set_num_threads(2)
    yield
    inv.set_num_threads(None)


@pytest.fixture
def used(monkeypatch):
    """The threads that ran a part."""
    seen, run = set(), model._run

    def noting(*arguments):
        seen.add(threading.current_thread())
        return run(*arguments)

    monkeypatch.setattr(model, "_run", noting)
    return seen


def blas_threads():
    return [library.get_num_threads() for library in threads._libraries()]


def computed(run):
    """All that a network computes, in one thread or several."""
    outputs, lgdet = run.forward(run.inputs)
    d_inputs, inputs = run.backward()
    gradients = [p.grad.copy() for p in inv.get_params(run.network)]
    more = [] if run.conditional else run.inverse()
    if not run.conditional and run.network.signature.no_jacobian is None:
        adjoint = run.network.adjoint_jacobian(*run.residuals, *run.outputs)
        more = [*more, *adjoint[len(run.inputs)].values(), *run.network.jacobian(*run.inputs, {}, *run.inputs)]
    if run.network.signature.no_density is None:
        more = [*more, run.network.log_prob(*run.inputs)]
    return [*outputs, np.float64(lgdet), *d_inputs, *inputs, *gradients, *more]


@pytest.mark.parametrize("name", CUT)
def test_the_same_numbers(name, two, used):
    run = Run(ALL[name], "numpy")
    assert len(used) > 1
    run.network.anchors = 2  # automatic ones move by the drift that was seen, and with them the last digits
    together = computed(run)
    again = computed(run)
    inv.set_num_threads(1)
    for got, same, expected in zip(together, again, computed(run), strict=True):
        np.testing.assert_array_equal(got, same)
        assert_close(got, expected, 1e-9, "result")


def test_gradients_of_convolutions_are_added_up(two):
    """As with one thread: `backward` twice adds those of the 1x1 convolutions, and sets the others."""
    run = Run(CASES["NetworkGlow"], "numpy")
    run.backward()
    first = {p.name: p.grad.copy() for p in inv.get_params(run.network)}
    run.network.backward(*run.residuals, *run.outputs)
    for p in inv.get_params(run.network):
        assert_close(p.grad, (2 if ".v" in p.name else 1) * first[p.name], 1e-9, p.name)


def test_beside_other_work_one_thread_computes_the_same_parts(two, used, monkeypatch):
    together = computed(Run(CASES["NetworkGlow"], "numpy"))
    used.clear()
    monkeypatch.setattr(threads.Crowd, "present", True)
    in_turns = computed(Run(CASES["NetworkGlow"], "numpy"))
    assert used == {threading.main_thread()}
    for got, expected in zip(in_turns, together, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_threads_that_wait_are_tried_again_after_a_while(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(threads.time, "monotonic", lambda: now[0])
    crowd = threads.Crowd()
    crowd.judge(seconds=0.1, of_processors=0.19)
    assert not crowd.present
    crowd.judge(seconds=0.1, of_processors=0.05)
    assert crowd.present
    now[0] = 1.9
    assert crowd.present
    now[0] = 2.1
    assert not crowd.present


def test_work_of_threads_is_measured(monkeypatch):
    """A thread that sleeps works no more than one that waits for its turn."""
    monkeypatch.setattr(threads, "CROWD", threads.Crowd())
    threads.in_turns_or_threads([lambda: time.sleep(0.1), lambda: time.sleep(0.1)])
    assert threads.CROWD.present
    me = threading.current_thread()
    assert threads.in_turns_or_threads([threading.current_thread, threading.current_thread]) == [me, me]


def test_small_batches_need_one_thread(used):
    inv.set_num_threads(4)
    try:
        inv.NetworkGlow(2, 16, 1, 10, engine="numpy", seed=1).forward(inv.sample_banana(150, seed=1, engine="numpy"))
    finally:
        inv.set_num_threads(None)
    assert used == {threading.main_thread()}


def test_threads_of_the_library_come_back(two):
    before = blas_threads()
    run = Run(CASES["NetworkGlow"], "numpy")
    run.backward()
    assert blas_threads() == before
    with pytest.raises(ZeroDivisionError):
        model.with_blas_threads(1, lambda: 1 / 0)
    assert blas_threads() == before


def test_threads_of_the_library_come_back_after_interrupts(two):
    run = Run(CASES["NetworkGlow"], "numpy")
    before = blas_threads()
    count, rng = lines(run.backward), random.Random(1)
    for _ in range(60):
        interrupted(run.backward, rng.randint(1, count))
        assert blas_threads() == before


def test_an_interrupt_at_each_line_of_the_limit():
    before = blas_threads()

    def call():
        model.with_blas_threads(1, lambda: None)

    for at in range(1, lines(call) + 1):
        assert interrupted(call, at)
        assert blas_threads() == before, at


def test_an_error_in_a_thread_is_raised():
    def fail():
        raise KeyError("there")

    with pytest.raises(KeyError, match="there"):
        threads.in_threads([lambda: 1, fail])


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_bad_number(n):
    with pytest.raises(ValueError, match="set_num_threads: n must be a positive integer or None, got"):
        inv.set_num_threads(n)


def test_a_lock_that_an_interrupted_call_left_behind_stops_no_other_thread():
    threads._lock.acquire()
    G, X = inv.NetworkGlow(2, 4, 1, 1, engine="numpy", seed=1), inv.sample_banana(20, seed=1, engine="numpy")
    worker = threading.Thread(target=G.forward, args=(X,), daemon=True)
    worker.start()
    worker.join(timeout=30)
    assert not worker.is_alive() and G.initialised
