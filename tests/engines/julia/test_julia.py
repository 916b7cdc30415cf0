"""What only the Julia engine has: borrowed memory, lifetimes, Julia's errors, its generator, its batched methods."""

from __future__ import annotations

import gc
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyinvnets as inv
from helpers.comparison import assert_close
from helpers.golden_files import Golden
from helpers.processes import interruptible, run_python
from helpers.strategies import glows
from pyinvnets.engines.julia.limits import limit
from pyinvnets.validation import cases
from pyinvnets.validation.cases import as_tuple
from pyinvnets.validation.golden import CASES, arguments, initial_state, residuals

pytestmark = pytest.mark.julia


@pytest.fixture(scope="module")
def jl():
    from juliacall import Main

    inv.ActNorm(1, engine="julia")
    return Main


@pytest.fixture(scope="module")
def bridge(jl):
    return jl.PyInvNets


def batch(shape=(4, 6, 3, 5), dtype=np.float32, seed=0):
    return np.asfortranarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def glow(**kw):
    return inv.NetworkGlow(3, 4, 1, 2, engine="julia", seed=1, **kw)


def script(code):
    return run_python(code, "-W", "error::UserWarning", timeout=300)


class TestMemory:
    def test_inputs_are_borrowed_and_outputs_are_julias(self, bridge):
        """Julia receives the address of NumPy's buffer, and NumPy that of Julia's array."""
        from pyinvnets.engines.julia.bridge import description

        X = batch()
        address = bridge.seval("A -> Int(pointer(A))")
        borrowed = bridge.borrow_one(False, description((X,)).ctypes.data)
        assert address(borrowed) == X.ctypes.data
        assert str(bridge.typeof(borrowed)) == "Array{Float32, 4}"
        julias = bridge.seval("randn(Float32, 3, 4)")
        assert np.asarray(julias).ctypes.data == address(julias)

    def test_a_network_reads_the_callers_memory(self, bridge):
        """What upstream's `forward` gets is at the address of the caller's array, and what it returns comes back."""
        bridge.seval("seen = Dict{Symbol,Any}()")
        spy = bridge.seval(
            """begin
            mutable struct Spy <: InvertibleNetworks.NeuralNetLayer end
            function InvertibleNetworks.forward(X::Array, ::Spy)
                Y = 2X
                seen[:in], seen[:out] = Int(pointer(X)), Int(pointer(Y))
                return Y
            end
            Handle(Spy())
            end"""
        )
        from pyinvnets.engines.julia.model import JuliaModel
        from pyinvnets.engines.julia.runtime import start

        X = batch()
        (Y,) = JuliaModel(start(), spy).forward(X)
        assert bridge.seval("seen[:in]") == X.ctypes.data
        assert bridge.seval("seen[:out]") == Y.ctypes.data
        assert (Y == 2 * X).all()

    def test_parameters_are_views_of_julias_memory(self, bridge):
        G = glow()
        Z, _ = G.forward(batch())
        G.backward(Z, Z)
        for p in inv.get_params(G):
            for kind in ("data", "grad"):
                array = getattr(p, kind)
                julias = bridge.seval(f"(h, i) -> Int(pointer(h.params[i].{kind}))")(G.model.handle, p.index + 1)
                assert array.ctypes.data == julias
                assert not array.flags.owndata

    def test_contiguous_torch_layout_goes_through_without_a_copy(self):
        X = np.random.default_rng(0).standard_normal((5, 3, 6, 4), dtype=np.float32)
        Z, _ = glow().forward(X.T)
        assert X.T.flags.f_contiguous and Z.T.flags.c_contiguous and Z.T.shape == X.shape

    def test_an_output_that_is_its_input_is_copied(self, bridge):
        """As a column squeeze is, a mere reshape of its input."""
        X = batch((4, 4, 1, 2))
        Y = inv.squeeze(X, "column", engine="julia")
        assert not np.shares_memory(X, Y)
        X[...] = 0
        assert np.abs(Y).max() > 0

    def test_functions_of_python_may_keep_their_arguments(self):
        """The arrays that a link function and an operator get are theirs, whatever the caller does with his own."""
        kept = []

        def keep(array):
            kept.append((array, array.copy()))
            return array

        class Operator:
            shape, matvec, rmatvec = (16, 16), staticmethod(keep), staticmethod(keep)

        G = inv.NetworkLoop(4, 4, 2, keep, engine="julia", seed=1)
        eta, s, d = batch((4, 4, 1, 3)), batch((4, 4, 3, 3)), batch((16, 3))
        G.forward(eta, s, d, Operator())
        for array in (eta, s, d):
            array[...] = np.nan
        for array, as_it_was in kept:
            assert (array == as_it_was).all()

    def test_outputs_outlive_everything(self, bridge):
        def made():
            G = glow()
            Z, _ = G.forward(batch())
            return Z, inv.named_params(G)["CL[1,1].RB.W1"].data

        Z, W = made()
        kept = Z.copy(), W.copy()
        for _ in range(3):
            gc.collect()
            bridge.seval("GC.gc(true)")
            glow().forward(batch(seed=1))
        assert (kept[0] == Z).all() and (kept[1] == W).all()

    def test_ten_thousand_calls(self, bridge):
        """Arrays dropped at random and both collectors forced: right to the end, and memory stays flat to 5 %."""
        rng = np.random.default_rng(0)
        G = inv.NetworkGlow(2, 4, 1, 2, engine="julia", seed=1)
        X = batch((8, 8, 2, 4))
        expected, lgdet = G.forward(X)
        resident = []
        held = []
        for i in range(5000):
            Z, _ = G.forward(X.copy(order="F"))
            dX, X_again = G.backward(Z, Z)
            held += [Z, dX, X_again, inv.get_params(G)[rng.integers(20)].grad]
            while len(held) > 40:
                held.pop(rng.integers(len(held)))
            if i % 250 == 0:
                gc.collect()
                bridge.seval("GC.gc(true)")
            if i % 500 == 499:
                resident.append(int(Path("/proc/self/statm").read_text().split()[1]))
            if i % 100 == 0:
                assert (expected == Z).all()
                np.testing.assert_allclose(X_again, X, atol=1e-5)
        assert G.forward(X)[1] == lgdet
        half = len(resident) // 2
        assert max(resident[half:]) <= 1.05 * max(resident[:half])


class TestErrors:
    def test_classes_messages_and_traces(self, bridge):
        from pyinvnets.engines.julia.errors import translation

        cases = {
            'throw(DimensionMismatch("a and b"))': (ValueError, "DimensionMismatch: a and b"),
            'throw(ArgumentError("no"))': (ValueError, "ArgumentError: no"),
            "Int(1.5)": (ValueError, "InexactError"),
            "[1][2]": (ValueError, "BoundsError"),
            "sqrt(-1.0)": (ValueError, "DomainError"),
            "sin(:x)": (TypeError, "MethodError: no method matching sin"),
            "throw(OutOfMemoryError())": (MemoryError, "OutOfMemoryError"),
            'error("strange")': (RuntimeError, "strange"),
            'throw("a bare string")': (RuntimeError, "a bare string"),
            "undefined_name": (RuntimeError, "UndefVarError"),
        }
        for code, (kind, message) in cases.items():
            with pytest.raises(kind, match=message) as caught, translation():
                bridge.seval(code)
            assert "\n" not in str(caught.value)
            assert message in caught.value.julia_trace and "Stacktrace" in caught.value.julia_trace

    def test_other_errors_are_julia_errors(self, bridge):
        from pyinvnets.engines.julia import JuliaError
        from pyinvnets.engines.julia.errors import translation

        with pytest.raises(JuliaError, match="strange"), translation():
            bridge.seval('error("strange")')

    def test_an_update_that_fails_changes_nothing(self, bridge):
        """A gradient of another size, set behind our back on the seventh of the parameters."""
        G = glow()
        Z, _ = G.forward(batch())
        G.backward(Z, Z)
        bridge.seval("h -> (h.params[7].grad = zeros(Float32, 2, 2); nothing)")(G.model.handle)
        before = G.state_dict()
        for optimiser in (inv.Adam(0.1), inv.SGD(0.1)):
            with pytest.raises(inv.JuliaError, match=re.escape(inv.get_params(G)[6].name)):
                optimiser.update(G)
        assert all((before[name] == value).all() for name, value in G.state_dict().items())

    @pytest.mark.parametrize(
        "use",
        [
            lambda G: inv.get_params(G)[0].data,
            lambda G: setattr(inv.get_params(G)[0], "data", np.ones(3, np.float32)),
            lambda G: G.astype(np.float64),
            lambda G: inv.clear_grad(G),
        ],
    )
    def test_whatever_is_asked_of_julia_raises_the_packages_errors(self, use, bridge, monkeypatch):
        G = glow()
        monkeypatch.setattr(G.model, "handle", bridge.seval("Ref(0)"))
        with pytest.raises(inv.JuliaError):
            use(G)

    @pytest.mark.parametrize("sizes", [(2, 2**62, 1, 1), (2**62, 2, 1, 1), (2**31, 2**31, 1, 1), (2, 2, 1, 2**60)])
    def test_sizes_that_no_memory_holds_are_refused(self, sizes):
        """Julia would end the process."""
        with pytest.raises(ValueError, match="more parameters than any memory holds"):
            inv.NetworkGlow(*sizes, engine="julia")

    def test_a_network_is_usable_after_an_error(self):
        G = glow()
        X = batch()
        Z, _ = G.forward(X)
        with pytest.raises(ValueError, match="DimensionMismatch"):
            G.model.forward(batch((4, 6, 2, 5)))
        assert (G.forward(X)[0] == Z).all()


class TestAdam:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_equals_fluxs_to_the_last_bit(self, bridge, dtype):
        G, H = glow().astype(dtype), glow().astype(dtype)
        X = batch(dtype=dtype)
        opt = inv.Adam(0.01, beta=(0.8, 0.99))
        flux = bridge.seval(
            """begin
            optimiser = Flux.Optimise.Adam(0.01, (0.8, 0.99), 1e-8)
            h -> foreach(p -> Flux.Optimise.update!(optimiser, p.data, p.grad), h.params)
            end"""
        )
        for _ in range(4):
            for network in (G, H):
                Z, _ = network.forward(X)
                inv.clear_grad(network)
                network.backward(Z, Z)
            opt.update(G)
            flux(H.model.handle)
            for p, q in zip(inv.get_params(G), inv.get_params(H), strict=True):
                np.testing.assert_array_equal(p.data, q.data, err_msg=p.name)


class TestGenerator:
    def test_a_seed_leaves_julias_generator_alone(self, bridge):
        draw = bridge.seval("() -> rand()")
        bridge.seval("Random.seed!(3)")
        expected = draw(), draw()
        bridge.seval("Random.seed!(3)")
        first = draw()
        inv.NetworkGlow(2, 4, 1, 1, seed=7, engine="julia")
        inv.sample_banana(5, seed=7, engine="julia")
        assert (first, draw()) == expected


def test_the_julia_object(bridge):
    G = glow()
    assert str(bridge.typeof(G.julia)) == "InvertibleNetworks.NetworkGlow"
    assert G.julia.K == 2
    with pytest.raises(TypeError, match="on the Julia engine.*numpy"):
        _ = inv.ActNorm(2, engine="numpy").julia


def test_names_follow_upstreams_get_params(bridge):
    same = bridge.seval("h -> all(a === b for (a, b) in zip(InvertibleNetworks.get_params(h.net), h.params))")
    for name, make in CASES.items():
        assert same(make(engine="julia").model.handle), name


def test_a_direct_call_still_converts_parameters(jl, bridge):
    """Upstream's own habit, for who calls the Julia object: only the bridge's checked calls skip it."""
    G = inv.Conv1x1(3, engine="julia", seed=1)
    forward = bridge.seval("(layer, X) -> eltype(layer.forward(X))")
    assert str(forward(G.julia, bridge.seval("randn(2, 2, 3, 1)"))) == "Float64"


# How each is made, the shapes of what goes in, how many results of `forward` have a gradient.
LARGE = {
    "an image in bands": (lambda **kw: inv.CouplingLayerGlow(4, 8, logdet=True, **kw), ((48, 40, 4, 3),), 1),
    "many samples": (lambda **kw: inv.CouplingLayerGlow(3, 8, logdet=True, **kw), ((9, 7, 3, 50),), 1),
    "a line": (lambda **kw: inv.CouplingLayerGlow(4, 8, ndims=1, **kw), ((1500, 4, 2),), 1),
    "a volume": (lambda **kw: inv.CouplingLayerGlow(2, 4, logdet=True, ndims=3, **kw), ((12, 14, 11, 2, 2),), 1),
    "other scales": (
        lambda **kw: inv.CouplingLayerGlow(4, 8, logdet=True, activation=inv.SigmoidLayer(0.5, 1.5), **kw),
        ((40, 40, 4, 2),),
        1,
    ),
    "a reach of two": (lambda **kw: inv.CouplingLayerGlow(4, 8, k1=5, p1=2, k2=3, p2=1, **kw), ((40, 36, 4, 3),), 1),
    "strides": (lambda **kw: inv.ResidualBlock(3, 8, k1=4, p1=0, s1=4, **kw), ((64, 72, 3, 5),), 1),
    "uneven strides": (lambda **kw: inv.ResidualBlock(3, 8, k1=3, p1=1, s1=2, fan=True, **kw), ((65, 63, 3, 3),), 1),
    "leaky": (lambda **kw: inv.ResidualBlock(3, 8, activation=inv.LeakyReLUlayer(), **kw), ((33, 40, 3, 3),), 1),
    "a condition": (
        lambda **kw: inv.ConditionalLayerGlow(4, 2, 8, logdet=True, **kw),
        ((40, 32, 4, 5), (40, 32, 2, 5)),
        1,
    ),
    "HINT": (lambda **kw: inv.CouplingLayerHINT(8, 8, logdet=True, **kw), ((24, 24, 8, 5),), 1),
    "two lanes": (lambda **kw: inv.CouplingLayerBasic(3, 8, logdet=True, **kw), ((30, 40, 3, 4),) * 2, 2),
    "hyperbolic": (lambda **kw: inv.HyperbolicLayer(4, 3, 1, 1, n_hidden=6, **kw), ((40, 36, 4, 3),) * 2, 2),
    "ActNorm": (lambda **kw: inv.ActNorm(3, logdet=True, **kw), ((40, 36, 3, 3),), 1),
}


class TestFastMethods:
    @pytest.fixture(autouse=True)
    def fast_again(self):
        from pyinvnets.engines import julia

        yield
        julia.init(fast=True)

    @pytest.mark.parametrize("name", CASES)
    def test_same_numbers(self, name):
        from pyinvnets.engines import julia

        golden = Golden(name)
        single = golden["in/0"].dtype == np.float32
        found = []
        for fast in (True, False):
            julia.init(fast=fast)
            network = CASES[name](engine="julia").astype(golden["in/0"].dtype)
            network.load_state_dict(golden.group("param") | initial_state(name, golden))
            results = as_tuple(network.forward(*golden.series("in")))
            # The file of Conv1x1 holds no residual.
            given = residuals(name, golden) or [batch(results[0].shape, results[0].dtype)]
            back = as_tuple(network.backward(*given, *arguments(name, golden)[1]))
            found.append((*results, *back, *(p.grad for p in inv.get_params(network))))
        for i, (fast, slow) in enumerate(zip(*found, strict=True)):
            assert_close(fast, slow, 2e-4 if single else 1e-11, f"result {i}")

    @pytest.mark.parametrize("name", LARGE)
    def test_groups_of_samples(self, name):
        """More pixels than stay in a cache, in one sample or in several, with kernels that reach across their lines."""
        from pyinvnets.engines import julia

        make, shapes, derivatives = LARGE[name]
        found = []
        for fast in (True, False):
            julia.init(fast=fast)
            network = make(engine="julia", seed=2)
            arrays = [batch(shape, seed=i) for i, shape in enumerate(shapes)]
            outputs = [r for r in as_tuple(network.forward(*arrays)) if isinstance(r, np.ndarray)]
            states = arrays if isinstance(network, inv.ResidualBlock) else outputs
            if isinstance(network, inv.ConditionalLayerGlow):
                states = [outputs[0], arrays[1]]
            residuals = [batch(Y.shape, seed=9) / Y.shape[-1] for Y in outputs[:derivatives]]
            back = as_tuple(network.backward(*residuals, *states))
            found.append((*outputs, *back, *(p.grad for p in inv.get_params(network))))
        for i, (fast, slow) in enumerate(zip(*found, strict=True)):
            assert_close(fast, slow, 2e-4, f"result {i}")

    def test_upstreams_own_methods_are_called_when_off(self, bridge):
        """Otherwise the comparison above would compare the fast methods with themselves."""
        from pyinvnets.engines import julia

        C = inv.Conv1x1(3, engine="julia", seed=1)
        X = batch((8, 8, 3, 16))
        allocated = bridge.seval("(C, X) -> (C.forward(X); @allocated C.forward(X))")
        X = bridge.seval("randn(Float32, 8, 8, 3, 64)")
        counts = []
        for fast in (True, False):
            julia.init(fast=fast)
            counts.append(allocated(C.julia, X))
        assert counts[1] > 1.5 * counts[0]


class TestProcess:
    def test_julia_starts_lazily_and_once(self):
        done = script(
            "import sys, threading, pyinvnets as inv\n"
            "assert 'juliacall' not in sys.modules\n"
            "made = []\n"
            "def make(): made.append(inv.ActNorm(2, engine='numpy'))\n"
            "threads = [threading.Thread(target=make) for _ in range(4)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
            "assert 'juliacall' not in sys.modules\n"
            "G = inv.ActNorm(2); H = inv.ActNorm(2)\n"
            "print(G.engine, len(made))"
        )
        assert done.stdout.split() == ["julia", "4"], done.stderr

    def test_a_forked_child_is_told(self):
        done = script(
            "import os, pyinvnets as inv\n"
            "inv.ActNorm(2, engine='julia')\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    try: inv.ActNorm(2, engine='julia')\n"
            "    except inv.JuliaError as error: print(error, flush=True)\n"
            "    os._exit(0)\n"
            "os.waitpid(child, 0)"
        )
        assert 'multiprocessing.get_context("spawn")' in done.stdout, done.stderr

    def test_options_too_late(self):
        done = script(
            "import pyinvnets as inv\n"
            "inv.ActNorm(2, engine='julia')\n"
            "try: inv.init(threads=2)\n"
            "except RuntimeError as error: print(error)"
        )
        assert "threads=2 comes too late" in done.stdout, done.stderr

    @pytest.mark.parametrize("threads", [1, 2])
    def test_control_c_stops_a_training_loop(self, threads):
        """KeyboardInterrupt in Python, and the network is usable afterwards."""
        code = (
            "import pyinvnets as inv, numpy as np\n"
            f"inv.init(threads={threads})\n"
            "G = inv.NetworkGlow(2, 16, 1, 10, engine='julia', seed=1)\n"
            "X = inv.sample_banana(150, seed=1, engine='julia')\n"
            "opt = inv.Adam(1e-5)\n"
            "def update():\n"
            "    Z, lgdet = G.forward(X); G.backward(Z / 150, Z); opt.update(G); inv.clear_grad(G)\n"
            "update()\n"
            "print('training', flush=True)\n"
            "try:\n"
            "    while True: update()\n"
            "except KeyboardInterrupt: print('stopped', flush=True)\n"
            "update()\n"
            "Z, lgdet = G.forward(X)\n"
            "print('usable', bool(np.isfinite(Z).all()), np.abs(G.inverse(Z) - X).max() < 1e-3, flush=True)"
        )
        with interruptible(code) as process:
            assert process.stdout.readline() == "training\n", process.stderr.read()
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert out.splitlines() == ["stopped", "usable True True"], err

    def test_torch_before_and_after(self):
        pytest.importorskip("torch", reason="PyTorch is not installed")
        before = "import warnings; warnings.simplefilter('ignore'); import torch; import pyinvnets as inv"
        after = "import pyinvnets as inv; inv.ActNorm(2, engine='julia'); import torch"
        for order in (before, after):
            done = script(f"{order}; print(inv.ActNorm(2, engine='julia'), torch.ones(2).sum().item())")
            assert done.stdout.strip() == 'ActNorm(k=2, engine="julia") 2.0', done.stderr


REFUSED = {
    "CouplingLayerHINT, 1-D",
    "HyperbolicLayer, 1-D, stride",
    "NetworkConditionalGlow, split, one scale",
    "NetworkMultiScaleHINT, 3-D",
    "NetworkMultiScaleHINT, split, one scale",
}
"""The cases that upstream cannot do, for which the Julia engine raises an error that says so."""


class TestUpstreamsLimits:
    @pytest.mark.parametrize("name", cases.CASES)
    def test_refused(self, name):
        make = cases.CASES[name].make
        if name not in REFUSED:
            assert make(engine="julia", seed=1).engine == "julia"
            return
        with pytest.raises(ValueError, match=r'InvertibleNetworks.jl 2.3.1 cannot.*engine="numpy"'):
            make(engine="julia", seed=1)

    def test_derivatives(self):
        """In 32 bits upstream differentiates a GLOW; not one with an odd number of channels, and not in 64 bits."""
        for channels, dtype, works in ((4, np.float32, True), (3, np.float32, False), (4, np.float64, False)):
            G = inv.NetworkGlow(channels, 4, 1, 2, engine="julia", seed=1).astype(dtype)
            X = batch((4, 4, channels, 2), dtype)
            G.forward(X)
            if works:
                assert np.isfinite(G.jacobian(X, {}, X)[0]).all()
            else:
                with pytest.raises(ValueError, match=r'2.3.1 cannot differentiate.*engine="numpy"'):
                    G.jacobian(X, {}, X)


class TestFluxBlock:
    def test_against_fluxs_own_gradient(self, bridge):
        chain = bridge.seval("Flux.Chain(Flux.Conv((3, 3), 2 => 4, tanh; pad=1), Flux.Conv((1, 1), 4 => 3))")
        block = inv.FluxBlock(chain)
        X, dY = batch((4, 6, 2, 5)), batch((4, 6, 3, 5), seed=1)
        Y = block.forward(X)
        assert Y.shape == dY.shape
        dX = block.backward(dY, X)
        assert [p.name for p in inv.get_params(block)] == [f"params[{i}]" for i in range(1, 5)]
        step = 1e-2 * batch((4, 6, 2, 5), seed=2)
        found = ((block.forward(X + step) - block.forward(X - step)) * dY).sum() / 2
        assert found == pytest.approx((dX * step).sum(), rel=1e-2)

    def test_as_a_summary(self, bridge):
        chain = bridge.seval("Flux.Chain(Flux.Conv((3, 3), 1 => 2, tanh; pad=1))")
        flow = inv.NetworkConditionalGlow(2, 2, 4, 1, 2, engine="julia", seed=1)
        net = inv.SummarizedNet(flow, inv.FluxBlock(chain))
        X, Y = batch((4, 4, 2, 3)), batch((4, 4, 1, 3), seed=1)
        Z, C, _ = net.forward(X, Y)
        np.testing.assert_allclose(net.inverse(Z, C), X, atol=1e-4)
        dX, _, dY = net.backward(Z, Z, C, Y_save=Y)
        assert dX.shape == X.shape and dY.shape == Y.shape
        before = net.state_dict()
        inv.Adam(0.1).update(net)
        assert (before["sum_net.params[1]"] != net.state_dict()["sum_net.params[1]"]).all()

    def test_on_the_other_engine(self):
        with pytest.raises(ValueError, match="Julia engine only"):
            inv.FluxBlock(None, engine="numpy")


@settings(max_examples=25, deadline=None, derandomize=True)
@given(glows(), st.integers(0, 2**31))
def test_engines_agree_on_any_glow(glow, seed):
    """Random shapes and options, parameters copied across by name; all that both engines compute."""
    options, shape = glow
    if limit("NetworkGlow", options):
        with pytest.raises(ValueError, match="2.3.1 cannot"):
            inv.NetworkGlow(**options, engine="julia")
        return
    networks = [
        inv.NetworkGlow(**options, engine=engine, seed=seed).astype(np.float64) for engine in ("numpy", "julia")
    ]
    X, dZ = batch(shape, np.float64, seed), None
    networks[0].forward(X)
    for p in inv.get_params(networks[0]):
        p.data = p.data + 0.1 * np.random.default_rng(seed).standard_normal(p.shape)
    networks[1].load_state_dict(networks[0].state_dict())
    found = []
    for network in networks:
        Z, *lgdet = as_tuple(network.forward(X))
        dZ = batch(Z.shape, np.float64, seed + 1)
        inputs = network.backward(dZ, Z)
        gradients = [p.grad for p in inv.get_params(network)]
        found.append((Z, *lgdet, *inputs, network.inverse(Z), *gradients))
    for i, (reference, julias) in enumerate(zip(*found, strict=True)):
        # A gradient that is zero up to rounding has no scale of its own.
        error = np.abs(np.subtract(julias, reference)).max() / max(1, np.abs(reference).max())
        assert error < 1e-10, f"result {i}: {error}"


class TestVersions:
    def test_an_untested_version_is_named(self, bridge):
        from pyinvnets.engines.julia import runtime

        assert re.fullmatch(r"\d+\.\d+\.\d+", runtime.TESTED_VERSION)
        with pytest.warns(UserWarning, match=r"InvertibleNetworks\.jl 9\.9\.9.*2\.3\.1"):
            runtime.check_version("9.9.9")
