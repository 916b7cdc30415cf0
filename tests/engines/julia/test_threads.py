"""The Julia engine under several threads, forks and interrupts."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv
from helpers.processes import run_python

pytestmark = [pytest.mark.julia, pytest.mark.slow]


def script(code, threads=1, timeout=500):
    """Run after what all scripts here need; a hang ends in TimeoutExpired."""
    start = f"import pyinvnets as inv, numpy as np, threading, gc, sys, os\ninv.init(threads={threads})\n"
    made = (
        "def glow(seed): return inv.NetworkGlow(2, 4, 1, 2, engine='julia', seed=seed)\n"
        "def batch(seed): return np.asfortranarray(\n"
        "    np.random.default_rng(seed).standard_normal((8, 8, 2, 4)).astype(np.float32))\n"
        "def collect():\n"
        "    from juliacall import Main\n"
        "    gc.collect(); Main.GC.gc()\n"
    )
    done = run_python(start + made + code, "-W", "error::UserWarning", timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


class TestThreads:
    @pytest.mark.parametrize("threads", [1, 2])
    def test_a_pool_over_networks_of_their_own_and_over_one(self, threads):
        """10,000 calls in four threads, with both collectors forced: no hang, and every number right."""
        lines = script(
            "from concurrent.futures import ThreadPoolExecutor\n"
            "def work(G, X, Z, backward):\n"
            "    for i in range(625):\n"
            "        assert (G.forward(X)[0] == Z).all()\n"
            "        X_again = G.backward(Z, Z)[1] if backward else G.inverse(Z)\n"
            "        assert np.abs(X_again - X).max() < 1e-4\n"
            "        if i % 50 == 0: collect()\n"
            "networks, batches = [glow(i) for i in range(4)], [batch(i) for i in range(4)]\n"
            "latents = [G.forward(X)[0].copy() for G, X in zip(networks, batches)]\n"
            "with ThreadPoolExecutor(4) as pool:\n"
            "    list(pool.map(work, networks, batches, latents, [True] * 4))\n"
            "with ThreadPoolExecutor(4) as pool:\n"
            "    list(pool.map(work, networks[:1] * 4, batches[:1] * 4, latents[:1] * 4, [False] * 4))\n"
            "print('done')",
            threads,
        )
        assert lines[0] == "done"

    @pytest.mark.parametrize("threads", [1, 2])
    def test_a_worker_that_started_julia_and_lives_on(self, threads):
        lines = script(
            "made, stop = [], threading.Event()\n"
            "ready = threading.Event()\n"
            "def start():\n"
            "    G = glow(1)\n"
            "    made.append((G, G.forward(batch(1))[0].copy()))\n"
            "    ready.set(); stop.wait()\n"
            "worker = threading.Thread(target=start); worker.start(); ready.wait()\n"
            "(G, Z), = made\n"
            "for i in range(100):\n"
            "    assert (G.forward(batch(1))[0] == Z).all()\n"
            "    if i % 10 == 0: collect()\n"
            "stop.set(); worker.join()\n"
            "print('done')",
            threads,
        )
        assert lines[0] == "done"

    def test_threads_that_end_while_julia_collects(self):
        """Each that was in Julia takes leave of it as it ends, when it no longer waits for Python's lock."""
        lines = script(
            "G = glow(1); Z, _ = G.forward(batch(1))\n"
            "for _ in range(60):\n"
            "    workers = [threading.Thread(target=lambda: G.inverse(Z)) for _ in range(4)]\n"
            "    for worker in workers: worker.start()\n"
            "    collect()\n"
            "    for worker in workers: worker.join()\n"
            "print('done')"
        )
        assert lines[0] == "done"

    def test_memory_that_another_thread_reuses(self):
        """What describes an array to Julia must outlive the call."""
        lines = script(
            "G = glow(1); G.forward(batch(1)); state = G.state_dict()\n"
            "stop = []\n"
            "def reuse():\n"
            "    while not stop: [np.full(n, 1, np.int64) for n in range(3, 7)]\n"
            "sys.setswitchinterval(1e-6)\n"
            "thread = threading.Thread(target=reuse); thread.start()\n"
            "try:\n"
            "    for _ in range(500): G.load_state_dict(state)\n"
            "finally: stop.append(True); thread.join()\n"
            "assert all((G.state_dict()[name] == value).all() for name, value in state.items())\n"
            "print('done')"
        )
        assert lines[0] == "done"


class TestFork:
    def test_every_method_in_a_child_says_what_to_do(self):
        lines = script(
            "G = glow(1); X = batch(1); Z, _ = G.forward(X)\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    p = inv.get_params(G)[0]\n"
            "    for call in (lambda: G.forward(X), lambda: G.inverse(Z), lambda: G.backward(Z, Z),\n"
            "                 lambda: G.log_prob(X), lambda: G.sample(2), lambda: G.astype(np.float64),\n"
            "                 lambda: p.data, lambda: G.state_dict(), lambda: inv.clear_grad(G), lambda: G.julia,\n"
            "                 lambda: inv.Adam().update(G), lambda: glow(2), lambda: inv.init(fast=False)):\n"
            "        try: call()\n"
            "        except inv.JuliaError as error: print(str(error).count('multiprocessing'), flush=True)\n"
            "    sys.exit(0)\n"
            "print('status', os.waitpid(child, 0)[1])\n"
            "assert (G.forward(X)[0] == Z).all()"
        )
        assert lines[:-1] == ["1"] * 13 + ["status 0"]


class TestSignals:
    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("in_a_worker", [False, True])
    def test_all_of_them_stay_pythons(self, threads, in_a_worker):
        """Whichever thread starts Julia, and on however many of its own."""
        lines = script(
            "import signal, subprocess\n"
            "heard = []\n"
            "signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))\n"
            "for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):\n"
            "    signal.signal(number, lambda number, frame: heard.append(number))\n"
            "start = threading.Thread(target=glow, args=(1,))\n"
            f"start.{'start(); start.join()' if in_a_worker else 'run()'}\n"
            "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM) * 10:\n"
            "    heard.clear()\n"
            "    os.kill(os.getpid(), number)\n"
            "    for _ in range(10000):\n"
            "        if heard: break\n"
            "    print(heard == [number])\n",
            threads,
        )
        assert lines[:-1] == ["True"] * 50


class TestInterrupts:
    def test_the_dtype_is_the_parameters(self, monkeypatch):
        """Whenever `astype` is interrupted, in or after the call into Julia."""
        G = inv.NetworkGlow(2, 4, 1, 1, engine="julia", seed=1)
        from pyinvnets.engines.julia.runtime import start

        bridge = start().bridge
        convert = bridge.convert_all_b

        def interrupted(*arguments):
            convert(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(bridge, "convert_all_b", interrupted)
        with pytest.raises(KeyboardInterrupt):
            G.astype(np.float64)
        assert G.dtype == np.float64 == inv.named_params(G)["CL[1,1].RB.W1"].data.dtype

    def test_modes_belong_to_one_task_and_end_with_their_call(self):
        inv.ActNorm(1, engine="julia")
        from juliacall import Main

        seen = Main.PyInvNets.seval(
            """() -> begin
                here() = is_on(CHECKED), is_on(BY_SAMPLE)
                inside = with(() -> with(() -> (here(), fetch(@async here()), outside(here)), CHECKED), BY_SAMPLE)
                try
                    with(() -> error("no"), CHECKED)
                catch
                end
                return collect(Iterators.flatten((inside..., here())))
            end"""
        )()
        assert list(seen) == [True, True, False, False, False, False, False, False]
