"""Densities sample by sample against finite differences, and samples, over all layers and networks that have them."""

from __future__ import annotations

import dataclasses
import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close, single
from pyinvnets.networks.base import density
from pyinvnets.validation.cases import CASES, Run, as_tuple

WITH_DENSITY = [name for name, case in CASES.items() if case.invertible and not name.startswith("NetworkLoop")]
WITHOUT = [name for name in CASES if name not in WITH_DENSITY]
FEW = ["NetworkGlow", "NetworkGlow, split", "NetworkConditionalGlow, split", "NetworkMultiScaleConditionalHINT, split"]


@pytest.fixture(params=WITH_DENSITY)
def run(request, engine):
    return Run(CASES[request.param], engine)


@pytest.fixture(params=FEW)
def few(request, engine):
    return Run(CASES[request.param], engine)


def latent_of(run, arrays):
    """The elements of the latent of one sample, in some order."""
    outputs, _ = run.forward(arrays)
    return np.concatenate([z.ravel() for z in (outputs[:1] if run.conditional else outputs)])


def expected_log_prob(run, arrays, step=1e-5):
    """Of one sample on its own: the Gaussian's density at its latent, and its Jacobian by central differences."""
    columns = []
    for k in range(1 if run.conditional else len(arrays)):
        for index in np.ndindex(arrays[k].shape):
            ends = []
            for sign in (step, -step):
                moved = [a.copy(order="F") for a in arrays]
                moved[k][index] += sign
                ends.append(latent_of(run, moved))
            columns.append((ends[0] - ends[1]) / (2 * step))
    z = latent_of(run, arrays)
    return -(z @ z + len(z) * math.log(2 * math.pi)) / 2 + np.linalg.slogdet(np.array(columns))[1]


def check_by_sample(run):
    expected = [expected_log_prob(run, single(run.inputs, i)) for i in range(run.inputs[0].shape[-1])]
    found = run.network.log_prob(*run.inputs)
    assert found.shape == (len(expected),) and found.dtype == run.network.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-5)


def conditions(run):
    """The condition of the first sample, where there is one."""
    return single(run.inputs[1:], 0) if run.conditional else []


def test_log_prob_by_sample(run):
    check_by_sample(run)


def test_mean_is_the_objective(run):
    """With the Gaussian's constant; the hyperbolic network's log-determinant is zero."""
    samples = run.inputs[0].shape[-1]
    latents = run.outputs[:1] if run.conditional else run.outputs
    squares, size = sum((z**2).sum() for z in latents), sum(z.size for z in latents)
    objective = (squares / 2 + size * math.log(2 * math.pi) / 2) / samples - run.lgdet
    assert run.network.log_prob(*run.inputs).mean() == pytest.approx(-objective, rel=1e-12, abs=1e-12)


def test_samples(run):
    """A seed gives the same samples whatever their number and the batch size, and a density that is theirs."""
    network, C = run.network, conditions(run)
    images = run.inputs[:1] if run.conditional else run.inputs
    found = as_tuple(network.sample(5, *C, seed=3))
    assert [x.shape for x in found] == [(*x.shape[:-1], 5) for x in images]
    assert all(x.dtype == np.float64 and x.flags.f_contiguous and np.isfinite(x).all() for x in found)
    for fewer in (network.sample(3, *C, seed=3), network.sample(3, *C, seed=3, batch_size=2)):
        for x, whole in zip(as_tuple(fewer), found, strict=True):
            assert_close(x, whole[..., :3], 1e-12, "sample")
    assert not np.array_equal(as_tuple(network.sample(5, *C, seed=4))[0], found[0])
    *arrays, log_prob = network.sample_and_log_prob(5, *C, seed=3, batch_size=2)
    for x, whole in zip(arrays, found, strict=True):
        assert_close(x, whole, 1e-12, "sample")
    np.testing.assert_allclose(log_prob, network.log_prob(*found, *C), rtol=1e-9)
    np.testing.assert_allclose(log_prob, network.log_prob(*found, *C, batch_size=3), rtol=1e-9)


def test_samples_have_gaussian_latents(run):
    """The latent of each sample is what the generator drew for it."""
    network, C = run.network, conditions(run)
    samples = as_tuple(network.sample(2, *C, seed=6))
    size = sum(x[..., 0].size for x in samples)
    drawn = np.random.default_rng(6).standard_normal((2, size))
    for i in range(2):
        z = latent_of(run, [*single(samples, i), *C])
        assert_close(np.sort(z), np.sort(drawn[i]), 1e-6, "latent")


@pytest.mark.julia
@pytest.mark.parametrize("name", WITH_DENSITY)
def test_engines_agree(name):
    ours, julias = (Run(CASES[name], engine) for engine in ("numpy", "julia"))
    C = conditions(ours)
    np.testing.assert_allclose(
        ours.network.log_prob(*ours.inputs), julias.network.log_prob(*ours.inputs), rtol=1e-10, atol=1e-10
    )
    found = zip(
        as_tuple(ours.network.sample(3, *C, seed=1)), as_tuple(julias.network.sample(3, *C, seed=1)), strict=True
    )
    for x, expected in found:
        assert_close(x, expected, 1e-9, "sample")


@pytest.mark.julia
def test_upstreams_own_methods():
    from pyinvnets.engines.julia.runtime import start

    run = Run(CASES["NetworkGlow, split"], "julia")
    expected = run.network.log_prob(*run.inputs)
    start().set_fast(False)
    try:
        assert_close(run.network.log_prob(*run.inputs), expected, 1e-10, "log_prob")
    finally:
        start().set_fast(True)
    assert isinstance(run.network.forward(*run.inputs)[1], float)


class TestMutations:
    """What the checks above would see."""

    def seen(self, run):
        with pytest.raises(AssertionError):
            check_by_sample(run)

    def test_sign_of_the_gaussian(self, few, monkeypatch):
        original = density.gaussian
        monkeypatch.setattr(density, "gaussian", lambda *arguments: -original(*arguments))
        self.seen(few)

    def test_sign_of_the_log_determinant(self, few, monkeypatch):
        original = density.by_each_sample

        def flipped(network, title, inputs):
            *outputs, logdets = original(network, title, inputs)
            return *outputs, -logdets

        monkeypatch.setattr(density, "by_each_sample", flipped)
        self.seen(few)

    def test_mean_in_place_of_samples(self, few, monkeypatch):
        original = density.by_each_sample

        def averaged(network, title, inputs):
            *outputs, logdets = original(network, title, inputs)
            return *outputs, np.full_like(logdets, logdets.mean())

        monkeypatch.setattr(density, "by_each_sample", averaged)
        self.seen(few)

    def test_samples_in_the_wrong_order(self, few, monkeypatch):
        if not few.network.signature.splits:
            pytest.skip("the latent holds sample after sample")
        monkeypatch.setattr(few.network, "signature", dataclasses.replace(few.network.signature, splits=0))
        self.seen(few)


def test_the_density_of_two_numbers_integrates_to_one(engine):
    G = inv.NetworkGlow(2, 8, 1, 4, engine=engine, seed=1)
    G.forward(inv.sample_banana(500, seed=1, engine="numpy"))
    x, y = np.meshgrid(np.linspace(-30, 30, 501), np.linspace(-60, 60, 501), indexing="ij")
    points = np.stack((x.ravel(), y.ravel()))[None, None].astype(np.float32)
    log_prob = G.log_prob(np.asfortranarray(points), batch_size=100_000)
    assert log_prob.dtype == np.float32
    assert np.exp(log_prob, dtype=np.float64).sum() * (60 / 500) * (120 / 500) == pytest.approx(1, abs=1e-3)


def test_float32(few):
    expected = few.network.log_prob(*few.inputs)
    few.network.astype(np.float32)
    found = few.network.log_prob(*(x.astype(np.float32) for x in few.inputs))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    C = [c.astype(np.float32) for c in conditions(few)]
    assert all(x.dtype == np.float32 for x in as_tuple(few.network.sample_and_log_prob(3, *C, seed=1)))


def test_forward_is_as_before(few):
    _, before = few.forward(few.inputs)
    few.network.log_prob(*few.inputs)
    assert few.forward(few.inputs)[1] == before


def test_threads_at_once():
    """On the NumPy engine, which lets go of Python's lock: `forward` has its mean, `log_prob` its samples."""
    run = Run(CASES["NetworkGlow, split"], "numpy")
    expected, lgdet = run.network.log_prob(*run.inputs), run.lgdet

    def both(_):
        return run.network.log_prob(*run.inputs), run.network.forward(*run.inputs)[1]

    with ThreadPoolExecutor(4) as pool:
        for log_prob, mean in pool.map(both, range(100)):
            assert (log_prob == expected).all() and mean == lgdet


class TestConditions:
    @pytest.fixture(params=["ConditionalLayerGlow", "NetworkConditionalGlow, split", "SummarizedNet"])
    def run(self, request, engine):
        return Run(CASES[request.param], engine)

    def test_one_for_all(self, run):
        X, C = run.inputs
        one, each = C[..., :1], np.asfortranarray(np.repeat(C[..., :1], 2, axis=-1))
        np.testing.assert_allclose(run.network.log_prob(X, one), run.network.log_prob(X, each), rtol=1e-12)
        assert_close(run.network.sample(2, one, seed=1), run.network.sample(2, each, seed=1), 1e-12, "sample")

    def test_one_for_each(self, run):
        C = run.inputs[1]
        both = run.network.sample(2, C, seed=1, batch_size=1)
        assert_close(run.network.sample(2, C, seed=1), both, 1e-12, "in batches")
        assert_close(run.network.sample(1, C[..., :1], seed=1), both[..., :1], 1e-12, "the first")

    def test_bad_conditions(self, run):
        X, C = run.inputs
        three = np.asfortranarray(np.repeat(C[..., :1], 3, axis=-1))
        with pytest.raises(ValueError, match="C must have one sample, or n = 2"):
            run.network.sample(2, three)
        with pytest.raises(ValueError, match="must belong to the same batch"):
            run.network.log_prob(X, three)
        with pytest.raises(ValueError, match="C must have shape"):
            run.network.sample(2, X[..., :0])
        with pytest.raises(TypeError, match="C must be"):
            run.network.sample(2, C.astype(np.float32))

    def test_a_layer_over_a_summary(self, engine):
        """It does not give the condition that `backward` would need, so it could not be trained."""
        layer = inv.ConditionalLayerGlow(2, 3, 4, logdet=True, engine=engine, seed=1)
        block = inv.ResidualBlock(1, 4, n_out=6, engine=engine, seed=2)
        with pytest.raises(TypeError, match="which gives the condition too"):
            inv.SummarizedNet(layer, block)

    def test_size_that_cannot_be_squeezed(self, engine):
        network = CASES["NetworkConditionalGlow, split"].network(engine)
        with pytest.raises(ValueError, match=r"C must belong to data of.*multiples of 4, got shape \(6, 4, 2, 1\)"):
            network.sample(2, np.zeros((6, 4, 2, 1), order="F"))


class TestImageSize:
    def test_is_that_of_the_last_forward(self, engine):
        G = inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine=engine, seed=1)
        X = np.asfortranarray(np.random.default_rng(0).standard_normal((4, 8, 2, 6), dtype=np.float32))
        G.forward(X)
        assert G.sample(2).shape == (4, 8, 2, 2)
        assert G.sample(2, spatial=(8, 4)).shape == (8, 4, 2, 2) and G.spatial == (8, 4)
        assert pickle.loads(pickle.dumps(G)).sample(1).shape == (8, 4, 2, 1)

    def test_is_that_of_the_last_log_prob(self, engine):
        layer = inv.CouplingLayerGlow(2, 4, logdet=True, engine=engine, seed=1)
        layer.log_prob(np.zeros((3, 5, 2, 4), np.float32, order="F"))
        assert layer.spatial == (3, 5) and layer.sample(2).shape == (3, 5, 2, 2)

    def test_is_saved(self, engine, tmp_path):
        G = inv.NetworkGlow(2, 4, 1, 2, engine=engine, seed=1)
        G.forward(inv.sample_banana(50, seed=1, engine="numpy"))
        inv.save(G, tmp_path / "weights.safetensors")
        loaded = inv.load(tmp_path / "weights.safetensors", engine=engine)
        assert np.array_equal(loaded.sample(3, seed=1), G.sample(3, seed=1))

    def test_of_a_network_with_weights_alone(self, engine):
        run = Run(CASES["NetworkGlow, split"], engine)
        fresh = CASES["NetworkGlow, split"].make(engine=engine, seed=4).astype(np.float64)
        fresh.load_state_dict(run.network.state_dict())
        with pytest.raises(ValueError, match="the image size is not known yet; write spatial="):
            fresh.sample(2)
        X = fresh.sample(2, spatial=(4, 4), seed=1)
        assert_close(X, run.network.sample(2, seed=1), 1e-12, "sample")

    def test_of_a_flat_latent_behind_other_layers(self, engine):
        glow = inv.NetworkGlow(4, 4, 2, 1, split_scales=True, engine=engine, seed=1)
        whole = inv.Sequential(inv.ActNorm(4, logdet=True, engine=engine), glow)
        whole.forward(np.asfortranarray(np.random.default_rng(0).standard_normal((4, 8, 4, 6), dtype=np.float32)))
        X, log_prob = whole.sample_and_log_prob(3, spatial=(8, 4), seed=1)
        assert X.shape == (8, 4, 4, 3)
        np.testing.assert_allclose(whole.log_prob(X), log_prob, rtol=1e-5)


class TestErrors:
    @pytest.fixture
    def G(self, engine):
        G = inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine=engine, seed=1)
        G.forward(np.asfortranarray(np.random.default_rng(0).standard_normal((4, 8, 2, 6), dtype=np.float32)))
        return G

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n": 0}, "n must be a positive integer, got 0"),
            ({"n": 2.0}, "n must be a positive integer, got 2.0"),
            ({"n": 2, "batch_size": 0}, "batch_size must be a positive integer, got 0"),
            ({"n": 2, "seed": -1}, "seed must be a non-negative integer or None, got -1"),
            ({"n": 2, "spatial": (4, 6)}, r"spatial must belong to data of.*multiples of 4, got \(4, 6\)"),
        ],
    )
    def test_arguments(self, G, options, message):
        before = G.state_dict()
        for method in (G.sample, G.sample_and_log_prob):
            with pytest.raises(ValueError, match=message):
                method(**options)
        assert G.spatial == (4, 8)
        assert all((before[name] == value).all() for name, value in G.state_dict().items())

    def test_image_sizes_are_tuples(self, G):
        for size in (4, (4.0, 8.0)):
            with pytest.raises(TypeError, match="spatial must be a tuple of integers, such as"):
                G.sample(2, spatial=size)

    def test_data(self, G):
        with pytest.raises(TypeError, match="log_prob: X must be float32"):
            G.log_prob(np.zeros((4, 8, 2, 3)))
        with pytest.raises(ValueError, match="log_prob: X must have shape"):
            G.log_prob(np.zeros((4, 8, 3, 3), np.float32))

    def test_fresh_networks(self, engine):
        """As `inverse`; neither `log_prob` nor `sample` sets ActNorm."""
        G = inv.NetworkGlow(2, 4, 1, 1, engine=engine, seed=1)
        X = np.asfortranarray(np.random.default_rng(0).standard_normal((1, 1, 2, 6), dtype=np.float32))
        with pytest.raises(ValueError, match=r"log_prob: AN\[1,1\].s is not initialised; call forward"):
            G.log_prob(X)
        with pytest.raises(ValueError, match=r"sample: AN\[1,1\].s is not initialised; call forward"):
            G.sample(2, spatial=(1, 1))
        H = inv.NetworkConditionalGlow(2, 2, 4, 1, 1, engine=engine, seed=1)
        with pytest.raises(ValueError, match=r"sample: AN\[1,1\].s is not initialised; call forward"):
            H.sample(2, X[..., :1])
        assert G.spatial is None
        assert all(p.data is None for p in inv.get_params(G)[:2] + inv.get_params(H)[:2])

    def test_no_log_determinant(self, engine):
        layer = inv.CouplingLayerGlow(2, 4, engine=engine, seed=1)
        X = layer.sample(3, spatial=(2, 2), seed=1)
        for network in (layer, inv.Sequential(inv.Conv1x1(2, engine=engine), layer)):
            with pytest.raises(ValueError, match="keeps no log-determinant; make it with logdet=True"):
                network.log_prob(X)
            with pytest.raises(ValueError, match="keeps no log-determinant"):
                network.sample_and_log_prob(3, spatial=(2, 2))

    @pytest.mark.parametrize("name", WITHOUT)
    def test_no_density(self, name, engine):
        network = CASES[name].make(engine=engine, seed=1)
        assert network.signature.no_density
        assert not any(hasattr(network, name) for name in ("log_prob", "sample", "sample_and_log_prob"))

    def test_data_that_are_flat_vectors(self):
        case = CASES["NetworkMultiScaleConditionalHINT, split"]
        backwards = inv.reverse(case.network("numpy"))
        with pytest.raises(ValueError, match="takes flat vectors"):
            backwards.sample(2)
        with pytest.raises(ValueError, match="its data is a flat vector"):
            backwards.log_prob(np.zeros(4), np.zeros(4))
