"""What holds for networks and arrays on a GPU, and is run on one where there is one, and on a stand-in elsewhere."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from pyinvnets.validation.cases import CASES, Run, as_tuple

SPLINES = "CouplingLayerSpline", "NetworkSpline", "NetworkConditionalSpline"
ON_THE_CPU = (
    "NetworkLoop",
    *(f"{way}{name}" for name in ("NetworkMultiScaleHINT", *SPLINES) for way in ("", "reverse(")),
)
"""Networks that cannot be on a GPU."""
BOUND = 1e-9
"""On float64: a GPU sums in another order."""


def batch(shape, dtype=np.float64, seed=0):
    return np.asfortranarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def glow(**options):
    """Initialised by a first batch, the same each time."""
    G = inv.NetworkGlow(3, 4, 2, 2, engine="julia", seed=1, **options).astype(np.float64)
    G.forward(batch((8, 4, 3, 2), seed=9))
    return G


def conditional():
    G = inv.NetworkConditionalGlow(3, 2, 4, 2, 1, split_scales=True, engine="julia", seed=1).astype(np.float64)
    G.forward(batch((8, 4, 3, 2), seed=9), batch((8, 4, 2, 2), seed=8))
    return G


def assert_same(got, expected, what):
    got, expected = as_tuple(got), as_tuple(expected)
    assert len(got) == len(expected)
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert isinstance(a, float if isinstance(b, float) else inv.DeviceArray), f"{what} {i}"
        assert_close(a if isinstance(a, float) else a.numpy(), b, BOUND, f"{what} {i}")


class Foreign:
    """An array of another library's: nothing but `__cuda_array_interface__`."""

    def __init__(self, X):
        self.__cuda_array_interface__ = X.__cuda_array_interface__
        self._owner = X


class DeviceChecks:
    @pytest.mark.parametrize("name", [name for name in CASES if not name.startswith(ON_THE_CPU)])
    def test_a_network_computes_what_it_does_on_the_cpu(self, name):
        run = Run(CASES[name], "julia")
        G, inputs = run.network, run.inputs
        forward = as_tuple(G.forward(*inputs))
        inverse = run.inverse() if run.case.invertible else ()
        backward = run.backward()
        gradients = {p.name: p.grad.copy() for p in inv.get_params(G)}
        inv.clear_grad(G)

        assert G.gpu() is G and G.on_gpu
        run.inputs, run.outputs, run.residuals = (
            [inv.gpu(array) for array in arrays] for arrays in (inputs, run.outputs, run.residuals)
        )
        assert_same(G.forward(*run.inputs), forward, "forward")
        if run.case.invertible:
            assert_same(run.inverse(), inverse, "inverse")
        for got, expected in zip(run.backward(), backward, strict=True):
            assert_same(got, expected, "backward")
        for p in inv.get_params(G):
            assert_close(p.grad.numpy(), gradients[p.name], BOUND, p.name)
        for got, expected in zip(as_tuple(G.cpu().forward(*inputs)), forward, strict=True):
            assert_close(got, expected, BOUND, "back on the CPU")

    @pytest.mark.parametrize("anchors", ["auto", 1, None])
    @pytest.mark.parametrize("split", [False, True])
    def test_states_are_kept_on_the_device(self, split, anchors):
        """As on the CPU, and `backward` begins again as there."""
        L, K = (2, 24) if split else (1, 48)
        G = inv.NetworkGlow(3, 4, L, K, split_scales=split, engine="julia", seed=1).astype(np.float64)
        G.anchors = anchors
        if anchors == "auto":
            G.spacings = [48]
        X = batch((8, 4, 3, 2))
        Z, _ = G.forward(X)
        kept = G.model.anchors.size
        expected = (*G.backward(Z, Z), *(p.grad.copy() for p in inv.get_params(G)))
        spacing = G.model.anchors.spacing
        inv.clear_grad(G)
        G.gpu()
        if anchors == "auto":
            assert spacing < 48
            G.spacings = [48]
        Z, _ = G.forward(inv.gpu(X))
        assert G.model.anchors.size == kept
        got = (*G.backward(Z, Z), *(p.grad for p in inv.get_params(G)))
        assert_same(got, expected, "backward")
        assert 0 < G.drift < 1e-8
        inv.clear_grad(G)
        changed = inv.get_params(G)[0]
        Z, _ = G.forward(inv.gpu(X))
        changed.data *= 1.5
        G.backward(Z, Z)
        assert G.drift is None

    def test_the_first_forward_initialises_on_the_device(self):
        X = batch((8, 4, 3, 4))
        G, H = (inv.NetworkGlow(3, 4, 2, 2, engine="julia", seed=1).astype(np.float64) for _ in range(2))
        expected = G.forward(X)
        assert_same(H.gpu().forward(inv.gpu(X)), expected, "forward")
        flat = X.copy(order="F")
        flat[:, :, 1] = 0.5
        with pytest.raises(ValueError, match="zero variance"):
            inv.ActNorm(3, engine="julia").astype(np.float64).gpu().forward(inv.gpu(flat))

    def test_parameters_stay_the_same_objects(self):
        G = glow()
        identity = inv.get_params(G)
        objects = [str(p) for p in G.model._engine.bridge.seval("h -> map(objectid, h.params)")(G.model.handle)]
        state = G.state_dict()
        G.gpu()
        assert objects == [str(p) for p in G.model._engine.bridge.seval("h -> map(objectid, h.params)")(G.model.handle)]
        assert all(a is b for a, b in zip(identity, inv.get_params(G), strict=True))
        assert all(np.array_equal(state[p.name], p.data.numpy()) for p in identity)
        assert all(np.array_equal(state[name], array) for name, array in G.state_dict().items())

        p = identity[-1]
        p.data[...] = p.data * 2.0
        assert np.array_equal(p.data.numpy(), 2 * state[p.name])
        view = p.data
        p.data = 3 * state[p.name]
        assert np.array_equal(view.numpy(), 3 * state[p.name])
        G.load_state_dict(state)
        assert np.array_equal(view.numpy(), state[p.name])
        G.astype(np.float32)
        assert p.data.dtype == np.float32

    @pytest.mark.parametrize(
        "make",
        [inv.Adam, functools.partial(inv.AdamW, decay=0.01), functools.partial(inv.SGD, momentum=0.9)],
        ids=["Adam", "AdamW", "SGD"],
    )
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_an_optimiser_updates_as_on_the_cpu(self, make, dtype):
        """Also where the network is moved between updates, and where some parameters alone are updated."""
        X = batch((8, 4, 3, 5), dtype)
        networks = [glow().astype(dtype) for _ in range(2)]
        optimisers = [make(0.01) for _ in networks]
        gradients = [batch(p.shape, dtype, seed=i) for i, p in enumerate(inv.get_params(networks[0]))]
        for step in range(5):
            networks[1].gpu() if step != 2 else networks[1].cpu()
            for G, opt in zip(networks, optimisers, strict=True):
                for p, gradient in zip(inv.get_params(G), gradients, strict=True):
                    p.grad = gradient * (step + 1)
                opt.update(G if step < 4 else inv.get_params(G)[3:7])
        expected, got = (G.state_dict() for G in networks)
        for name in expected:
            assert_close(got[name], expected[name], 1e-12 if dtype == np.float64 else 1e-6, name)
        states = [opt.state_dict(G) for G, opt in zip(networks, optimisers, strict=True)]
        for name in states[0]:
            assert_close(states[1][name], states[0][name], 1e-12 if dtype == np.float64 else 1e-6, name)
        assert networks[1].on_gpu and X.dtype == dtype

    @pytest.mark.parametrize("split", [False, True])
    def test_densities_and_samples(self, split):
        X = batch((8, 4, 3, 7))
        G = glow(split_scales=split)
        expected = G.log_prob(X), G.sample(5, seed=3, batch_size=2), G.sample_and_log_prob(4, seed=2)
        G.gpu()
        got = G.log_prob(inv.gpu(X), batch_size=3), G.sample(5, seed=3), G.sample_and_log_prob(4, seed=2)
        for a, b in zip(got, expected, strict=True):
            assert_same(a, b, "density")

    def test_conditional_densities_and_samples(self):
        X, C = batch((8, 4, 3, 4)), batch((8, 4, 2, 4), seed=1)
        G = conditional()
        one = C[..., :1]
        expected = G.log_prob(X, C), G.log_prob(X, one, batch_size=3), G.sample(3, one, seed=3), G.sample(4, C, seed=3)
        G.gpu()
        X, C = inv.gpu(X), inv.gpu(C)
        one = C[..., :1]
        got = G.log_prob(X, C, batch_size=3), G.log_prob(X, one), G.sample(3, one, seed=3), G.sample(4, C, seed=3)
        for a, b in zip(got, expected, strict=True):
            assert_same(a, b, "density")

    @pytest.mark.parametrize("split", [False, True])
    def test_the_density_of_one_lane_given_the_other(self, split):
        G = inv.NetworkMultiScaleConditionalHINT(2, 4, 2, 1, split_scales=split, engine="julia", seed=1)
        G.astype(np.float64)
        X, Y = batch((4, 4, 2, 5)), batch((4, 4, 2, 5), seed=1)
        G.forward(X, Y)
        one = np.asfortranarray(Y[..., :1])
        expected = G.log_prob_given(X, Y), G.sample_given(3, one, seed=3), G.sample_given(5, Y, seed=3)
        G.gpu()
        X, Y = inv.gpu(X), inv.gpu(Y)
        got = G.log_prob_given(X, Y, batch_size=3), G.sample_given(3, Y[..., :1], seed=3), G.sample_given(5, Y, seed=3)
        for a, b in zip(got, expected, strict=True):
            assert_same(a, b, "density")

    @pytest.mark.parametrize("make", [glow, conditional])
    def test_fit(self, make, tmp_path):
        """Host arrays in, the same training as on the CPU, resumed from its checkpoint too."""
        data = [batch((8, 4, 3, 20))]
        if make is conditional:
            data.append(batch((8, 4, 2, 20), seed=1))
        options = {"batch_size": 6, "clip_norm": 1.0, "noise": 0.1, "seed": 1, "progress": False}
        on_cpu, on_gpu = make(), make().gpu()
        expected = inv.fit(on_cpu, *data, epochs=3, **options)
        inv.fit(on_gpu, *data, epochs=2, checkpoint=tmp_path / "two", **options)
        resumed = make()
        got = inv.fit(resumed, *data, epochs=3, resume=tmp_path / "two", device="gpu", **options)
        assert resumed.on_gpu
        assert_close(got.objective, expected.objective, 1e-7, "objective")
        assert_close(got.validation, expected.validation, 1e-7, "validation")
        batches = [tuple(array[..., i : i + 5] for array in map(inv.gpu, data)) for i in (0, 5)]
        assert len(inv.fit(resumed, batches, epochs=1, progress=False).objective) == 2

    def test_foreign_arrays_share_their_memory(self):
        """In by its address, out by its address; column-major both times."""
        X = batch((8, 4, 3, 5))
        G = glow()
        expected = G.forward(X)
        G.gpu()
        theirs = Foreign(inv.gpu(X))
        ours = inv.gpu(theirs)
        assert ours.__cuda_array_interface__ == theirs.__cuda_array_interface__
        assert ours.__cuda_array_interface__["strides"] == X.strides
        assert_same(G.forward(theirs), expected, "forward")
        ours[..., 1:3] = inv.gpu(2 * X[..., 1:3])
        changed = X.copy(order="F")
        changed[..., 1:3] *= 2
        assert np.array_equal(inv.cpu(theirs), changed)

    def test_an_output_is_no_input(self):
        """Upstream returns its second argument first."""
        L = inv.HyperbolicLayer(2, 3, 1, 1, engine="julia", seed=1).gpu()
        X, Y = (inv.gpu(batch((4, 2, 2, 2), np.float32, seed)) for seed in range(2))
        first, _ = L.forward(X, Y)
        assert np.array_equal(first.numpy(), Y.numpy())
        assert first.__cuda_array_interface__["data"] != Y.__cuda_array_interface__["data"]

    def test_arithmetic(self):
        a, b = batch((3, 2, 4)), batch((3, 2, 4), seed=1)
        A, B = inv.gpu(a), inv.gpu(b)
        assert_same((A + B, A - B, A * B, A / B), (a + b, a - b, a * b, a / b), "arrays")
        assert_same((2 + A, 2 - A, np.float32(2) * A, 2 / A, -A), (2 + a, 2 - a, 2 * a, 2 / a, -a), "numbers")
        assert (A / 3).dtype == a.dtype
        assert_close(A.sum_of_squares(), (a * a).sum(), BOUND, "sum of squares")
        C = A.copy()
        C *= 2.0
        assert_same((C, A, A[..., 1:3]), (2 * a, a, a[..., 1:3]), "views")
        assert A[..., 4:].numpy().shape == (3, 2, 0)
        with pytest.raises(TypeError, match=r"\.numpy\(\)"):
            np.asarray(A)
        with pytest.raises(TypeError):
            a + A
        with pytest.raises(ValueError, match="one shape"):
            A + A[..., 1:]
        with pytest.raises(TypeError, match=r"X\[\.\.\., first:last\]"):
            A[0]

    def test_what_is_elsewhere_is_refused(self):
        X = batch((8, 4, 3, 5))
        G, H = glow(), glow().gpu()
        with pytest.raises(TypeError, match=r"the network is on the GPU.*inv\.gpu\(X\)"):
            H.forward(X)
        with pytest.raises(TypeError, match=r"X is on the GPU.*inv\.cpu\(X\)"):
            G.forward(inv.gpu(X))
        with pytest.raises(TypeError, match="float64"):
            H.forward(inv.gpu(X.astype(np.float32)))
        with pytest.raises(ValueError, match="n_channels = 3"):
            H.forward(inv.gpu(X[:, :, :2]))
        with pytest.raises(ValueError, match=r"G\.cpu\(\)"):
            H.adjoint_jacobian(inv.gpu(X), inv.gpu(X))
        with pytest.raises(ValueError, match=r"inv\.reverse\(G\.cpu\(\)\)"):
            inv.reverse(inv.ActNorm(3, engine="julia").gpu())
        for network in (
            inv.NetworkMultiScaleHINT(1, 4, 2, 1, engine="julia"),
            inv.NetworkGlow(3, 4, 2, 2, squeezer=inv.WaveletLayer(), engine="julia"),
            inv.Sequential(inv.NetworkGlow(3, 4, 2, 2, squeezer=inv.WaveletLayer(), engine="julia")),
        ):
            with pytest.raises(ValueError, match=r"Wavelets\.jl"):
                network.gpu()
        with pytest.raises(ValueError, match="Python's"):
            inv.NetworkLoop(4, 4, 2, lambda eta: eta, engine="julia").gpu()
