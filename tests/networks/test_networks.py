"""What the networks beyond GLOW promise: checks, states, reversal, composition, saving."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from pyinvnets.validation.cases import CASES, REVERSED, Run, same


@pytest.fixture(params=CASES)
def run(request, engine):
    return Run(CASES[request.param], engine)


def arrays(*shapes, seed=1, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [np.asfortranarray(rng.standard_normal(shape), dtype) for shape in shapes]


def equal_states(a, b):
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all((first[k] == second[k]).all() for k in first)


class TestAll:
    def test_save_and_load(self, run, engine, tmp_path):
        path = tmp_path / "weights.safetensors"
        if isinstance(run.network, inv.NetworkLoop):
            with pytest.raises(TypeError, match="Python function"):
                inv.save(run.network, path)
            return
        inv.save(run.network, path)
        loaded = inv.load(path, engine=engine)
        assert equal_states(loaded, run.network) and repr(loaded) == repr(run.network)
        for got, expected in zip(Run.forward(copy_of(run, loaded), run.inputs)[0], run.outputs, strict=True):
            assert_close(got, expected, 1e-14, "output of the loaded network")

    def test_pickle(self, run):
        loaded = pickle.loads(pickle.dumps(run.network))
        assert equal_states(loaded, run.network) and repr(loaded) == repr(run.network)

    def test_wrong_dtype(self, run):
        with pytest.raises(TypeError, match="float32"):
            run.forward([run.inputs[0].astype(np.float32), *run.inputs[1:]])

    def test_wrong_number_of_channels(self, run):
        wrong = np.concatenate((run.inputs[-1], run.inputs[-1]), axis=-2)
        with pytest.raises(ValueError, match="channels"):
            run.forward([*run.inputs[:-1], wrong])

    def test_batches_that_differ(self, run):
        if len(run.inputs) == 1:
            pytest.skip("one input")
        wrong = np.concatenate((run.inputs[-1], run.inputs[-1]), axis=-1)
        with pytest.raises(ValueError, match=r"batch|axes"):
            run.forward([*run.inputs[:-1], wrong])

    def test_another_batch_size(self, run):
        """Statistics of ActNorm are set, so each sample goes its own way."""
        if run.case.extra() or run.case.mixed or any(z.ndim == 1 for z in run.outputs):
            pytest.skip("the latent's last axis is not the samples, or the data have samples of their own")
        first = [np.asfortranarray(x[..., :1]) for x in run.inputs]
        for got, expected in zip(run.forward(first)[0], run.outputs, strict=True):
            assert_close(got, expected[..., :1], 1e-12, "one sample")

    def test_seed(self, run, engine):
        a, b, c = (run.case.make(engine=engine, seed=s) for s in (1, 1, 2))
        assert equal_states(a, b)
        assert not a.state_dict() or not equal_states(a, c)

    def test_adam(self, run):
        run.backward()
        before = run.network.state_dict()
        inv.Adam(0.01).update(run.network)
        assert all((run.network.state_dict()[k] != before[k]).any() for k in before)


def copy_of(run, network):
    other = copy.copy(run)
    other.network = network
    return other


class TestStateAfterAnError:
    @pytest.mark.parametrize(
        "name",
        ["NetworkConditionalGlow", "NetworkConditionalHINT", "reverse(ActNorm)", "Sequential"],
    )
    def test_first_forward(self, name, engine):
        """A batch that ActNorm cannot be set from leaves no trace."""
        case = CASES[name]
        network = case.make(engine=engine, seed=1).astype(np.float64)
        before = network.state_dict()
        constant = [np.ones(shape, order="F") for shape in case.shapes]
        with pytest.raises(ValueError, match="ActNorm"):
            network.forward(*constant)
        after = network.state_dict()
        assert after.keys() == before.keys()
        with pytest.raises(ValueError, match="not initialised"):
            network.inverse(*case.inputs())
        network.forward(*case.inputs())

    def test_inverse_of_a_reversed_network_is_not_the_first(self, engine):
        with pytest.raises(ValueError, match="not initialised"):
            inv.reverse(inv.ActNorm(2, engine=engine)).inverse(*arrays((2, 2, 2, 3)))


class TestFreshMultiscale:
    """Upstream remembers sizes from the last `forward`; here `spatial` is enough, and any batch size will do."""

    @pytest.mark.parametrize(
        "name",
        ["NetworkMultiScaleHINT, split", "NetworkMultiScaleHINT, split, one scale"],
    )
    def test_one_lane(self, name, engine):
        run = Run(CASES[name], engine)
        fresh = CASES[name].make(engine=engine, seed=9).astype(np.float64)
        fresh.load_state_dict(run.network.state_dict())
        with pytest.raises(ValueError, match="spatial"):
            fresh.inverse(run.outputs[0])
        fresh.spatial = run.inputs[0].shape[:-2]
        assert_close(fresh.inverse(run.outputs[0]), run.inputs[0], 1e-9, "inverse")
        X, dZ = np.concatenate((run.inputs[0],) * 3, axis=-1), np.ones(3 * run.outputs[0].size)
        Z, _ = run.network.forward(np.asfortranarray(X))
        assert_close(fresh.inverse(Z), X, 1e-9, "another batch size")
        assert_close(fresh.backward(dZ, Z)[1], X, 1e-9, "another batch size")

    def test_two_lanes(self, engine):
        run = Run(CASES["NetworkMultiScaleConditionalHINT, split"], engine)
        fresh = pickle.loads(pickle.dumps(run.network))
        for got, expected in zip(fresh.inverse(*run.outputs), run.inputs, strict=True):
            assert_close(got, expected, 1e-9, "inverse")

    def test_size_that_cannot_be_squeezed(self, engine):
        network = inv.NetworkMultiScaleHINT(1, 4, 2, 1, split_scales=True, engine=engine)
        with pytest.raises(ValueError, match="multiples of 4"):
            network.spatial = (6, 4)

    def test_reversed(self, engine):
        run = Run(CASES["NetworkMultiScaleConditionalHINT, split"], engine)
        backwards = inv.reverse(run.network)
        assert backwards.spatial == (4, 4)
        X, Y, lgdet = backwards.forward(*run.outputs)
        assert lgdet == pytest.approx(-run.lgdet)
        for got, expected in zip((X, Y), run.inputs, strict=True):
            assert_close(got, expected, 1e-9, "forward of the reversed network")
        for got, expected in zip(backwards.inverse(X, Y), run.outputs, strict=True):
            assert_close(got, expected, 1e-9, "inverse of the reversed network")


class TestConditionalHINT:
    @pytest.mark.parametrize(
        "name",
        [
            "ConditionalLayerHINT",
            "ConditionalLayerHINT, deep",
            "NetworkConditionalHINT",
            "NetworkMultiScaleConditionalHINT",
            "NetworkMultiScaleConditionalHINT, split",
        ],
    )
    def test_lane_of_y_alone(self, name, engine):
        run = Run(CASES[name], engine)
        Zy = run.network.forward_Y(run.inputs[1])
        assert_close(Zy, run.outputs[1], 1e-12, "forward_Y")
        assert_close(run.network.inverse_Y(Zy), run.inputs[1], 1e-9, "inverse_Y")

    def test_before_the_first_forward(self, engine):
        network = inv.NetworkConditionalHINT(4, 4, 1, engine=engine)
        with pytest.raises(ValueError, match="not initialised"):
            network.forward_Y(*arrays((2, 2, 4, 3)))


class TestSharedBlocks:
    """A block that HINT uses twice: upstream's `backward` keeps the gradient of its last use, here as there."""

    def test_last_use_and_sum(self, engine):
        network = inv.CouplingLayerHINT(8, 4, engine=engine, seed=1).astype(np.float64)
        X, C = arrays((3, 2, 8, 2), (3, 2, 8, 2), dtype=np.float64)
        Y = network.forward(X)
        network.backward(C, Y)
        _, dtheta, _ = network.adjoint_jacobian(C, Y)
        p = inv.named_params(network)["CL[2].RB.W3"]
        start, direction = p.data.copy(), np.random.default_rng(2).standard_normal(p.shape)
        ends = []
        for h in (1e-6, -1e-6):
            p.data = start + h * direction
            ends.append((C * network.forward(X)).sum())
        derivative = (ends[0] - ends[1]) / 2e-6
        assert (dtheta[p.name] * direction).sum() == pytest.approx(derivative, rel=1e-6)
        assert (p.grad * direction).sum() != pytest.approx(derivative, rel=1e-2)
        own = inv.named_params(network)["CL[1].RB.W3"]
        assert_close(own.grad, dtheta[own.name], 1e-12, "a block used once")


class TestReverse:
    def test_twice(self, engine):
        layer = inv.CouplingLayerBasic(2, 4, logdet=True, engine=engine, seed=1)
        again = inv.reverse(inv.reverse(layer))
        assert type(again) is inv.CouplingLayerBasic and repr(again) == repr(layer) and equal_states(again, layer)

    def test_is_a_copy(self, engine):
        layer = inv.CouplingLayerBasic(2, 4, engine=engine, seed=1)
        other = inv.reverse(layer)
        inv.get_params(other)[0].data[...] = 0
        assert (inv.get_params(layer)[0].data != 0).any()

    def test_keeps_the_dtype(self, engine):
        for layer in (inv.CouplingLayerBasic(2, 4, engine=engine, seed=1), inv.ActNorm(2, engine=engine)):
            assert inv.reverse(layer.astype(np.float64)).dtype == np.float64

    def test_actnorm_normalises_what_comes_out(self, engine):
        (Z,) = arrays((4, 3, 2, 20), dtype=np.float64)
        X, lgdet = inv.reverse(inv.ActNorm(2, logdet=True, engine=engine).astype(np.float64)).forward(3 * Z + 1)
        assert_close(X.mean(axis=(0, 1, 3)), np.zeros(2), 1e-12, "mean")
        assert_close(X.var(axis=(0, 1, 3), ddof=1), np.ones(2), 1e-12, "variance")
        assert lgdet < 0

    def test_refused(self, engine):
        with pytest.raises(TypeError, match="expected an invertible network"):
            inv.reverse(inv.ResidualBlock(2, 4, engine=engine))
        with pytest.raises(TypeError, match="over arrays alone, got NetworkLoop"):
            inv.reverse(inv.NetworkLoop(4, 4, 1, same, engine=engine))
        with pytest.raises(TypeError, match=r"write inv.reverse\(flow.network\)"):
            inv.reverse(inv.VectorFlow(2, engine=engine))

    def test_shares_its_parameters(self, engine):
        G = inv.NetworkConditionalGlow(2, 3, 4, 1, 2, engine=engine, seed=1)
        R = inv.reverse(G, copy=False)
        assert inv.reverse(R, copy=False) is G
        Z, C = arrays((3, 2, 2, 5), (3, 2, 3, 5))
        X, _ = R.forward(Z, C)
        assert G.initialised
        assert_close(G.forward(X, C)[0], Z, 1e-5, "latent by the original")
        R.backward(X, X, C)
        for ours, originals in zip(inv.get_params(R), inv.get_params(G), strict=True):
            assert ours.name == originals.name and np.shares_memory(ours.data, originals.data)
            assert (ours.grad == originals.grad).all()
        R.astype(np.float64)
        assert G.dtype == np.float64 and equal_states(G, R)

    def test_data_of_several_scales(self, engine):
        """Latents that hold part after part have derivatives, but are not samples."""
        for name in ("NetworkGlow, split", "NetworkConditionalGlow, split"):
            run = Run(REVERSED[f"reverse({name})"], engine)
            logdets = run.network.forward_by_sample(*run.inputs)[-1]
            assert logdets.mean() == pytest.approx(run.lgdet)
            with pytest.raises(ValueError, match="has no density: its data is a"):
                run.network.log_prob(*run.inputs)
            with pytest.raises(ValueError, match=r"its data is a|flat vectors"):
                run.network.sample(2, *run.inputs[1:])


class TestSequential:
    def test_shares_its_parts(self, engine):
        parts = [inv.ActNorm(2, logdet=True, engine=engine), inv.Conv1x1(2, engine=engine, seed=1)]
        whole = inv.Sequential(*parts)
        (X,) = arrays((3, 2, 2, 5))
        Y, lgdet = whole.forward(X)
        middle, expected = parts[0].forward(X)
        assert lgdet == expected
        assert_close(Y, parts[1].forward(middle), 0, "output")
        assert_close(parts[0].inverse(middle), X, 1e-6, "a part that the whole initialised")
        assert [p.name for p in inv.get_params(whole)][:3] == ["layers[1].s", "layers[1].b", "layers[2].v1"]
        inv.get_params(whole)[0].data[...] = 7
        assert (inv.get_params(parts[0])[0].data == 7).all()

    def test_without_a_log_determinant(self, engine):
        whole = inv.Sequential(inv.Conv1x1(2, engine=engine), inv.Conv1x1(2, engine=engine))
        (X,) = arrays((3, 2, 2, 5))
        assert isinstance(whole.forward(X), np.ndarray)

    def test_flat_latent(self, engine):
        glow = inv.NetworkGlow(2, 4, 1, 1, split_scales=True, engine=engine, seed=1)
        whole = inv.Sequential(inv.ActNorm(2, logdet=True, engine=engine), glow)
        (X,) = arrays((4, 4, 2, 5))
        Z, _ = whole.forward(X)
        assert Z.ndim == 1 and whole.spatial == (4, 4)
        assert_close(whole.inverse(Z), X, 1e-5, "inverse")
        with pytest.raises(ValueError, match="NetworkGlow gives"):
            inv.Sequential(glow, inv.ActNorm(2, engine=engine))

    def test_update_of_one_parameter(self, engine):
        whole = inv.Sequential(inv.Conv1x1(2, engine=engine, seed=1), inv.Conv1x1(2, engine=engine, seed=2))
        (X,) = arrays((3, 2, 2, 5))
        whole.backward(X, whole.forward(X))
        before = whole.state_dict()
        inv.Adam(0.1).update(inv.named_params(whole)["layers[2].v2"])
        changed = [k for k, v in whole.state_dict().items() if (v != before[k]).any()]
        assert changed == ["layers[2].v2"]

    def test_unfit(self, engine):
        layer = inv.Conv1x1(2, engine=engine)
        with pytest.raises(ValueError, match="at least one"):
            inv.Sequential()
        with pytest.raises(TypeError, match="one input"):
            inv.Sequential(inv.CouplingLayerBasic(2, 4, engine=engine))
        with pytest.raises(ValueError, match="n_channels = 3"):
            inv.Sequential(layer, inv.Conv1x1(3, engine=engine))
        with pytest.raises(ValueError, match="twice"):
            inv.Sequential(layer, layer)
        with pytest.raises(ValueError, match="dtype"):
            inv.Sequential(layer, inv.Conv1x1(2, engine=engine).astype(np.float64))


class TestSummarizedNet:
    def test_is_its_parts(self, engine):
        block = inv.ResidualBlock(2, 4, n_out=3, fan=True, engine=engine, seed=1)
        glow = inv.NetworkConditionalGlow(2, 3, 4, 1, 1, engine=engine, seed=2)
        whole = inv.SummarizedNet(glow, block)
        X, Y = arrays((3, 2, 2, 5), (3, 2, 2, 5))
        Z, C, lgdet = whole.forward(X, Y)
        assert lgdet == glow.forward(X, block.forward(Y))[2]
        assert_close(whole.inverse(Z, C), X, 1e-5, "inverse")
        assert {p.name.split(".")[0] for p in inv.get_params(whole)} == {"cond_net", "sum_net"}

    def test_unfit(self, engine):
        block = inv.ResidualBlock(2, 4, n_out=3, fan=True, engine=engine)
        with pytest.raises(TypeError, match="conditional"):
            inv.SummarizedNet(inv.NetworkGlow(2, 4, 1, 1, engine=engine), block)
        glow = inv.NetworkConditionalGlow(2, 4, 4, 1, 1, engine=engine)
        with pytest.raises(TypeError, match="ResidualBlock"):
            inv.SummarizedNet(glow, [])
        with pytest.raises(ValueError, match="n_channels = 4"):
            inv.SummarizedNet(glow, block)

    @pytest.mark.parametrize("kind", [inv.NetworkConditionalGlow, inv.NetworkConditionalSpline])
    def test_a_vector_or_an_image_of_another_size_conditions_images(self, engine, kind):
        """Samples have the images' size, and `each` keeps conditions apart."""
        for size in (1, 1), (3, 5):
            embedding = inv.EmbeddingBlock(2, 8, 3, size_in=size, size_out=(4, 2), engine=engine, seed=1)
            glow = kind(2, 3, 4, 1, 2, engine=engine, seed=2)
            whole = inv.SummarizedNet(glow, embedding)
            X, Y = arrays((4, 2, 2, 6), (*size, 2, 6))
            Z, C, _ = whole.forward(X, Y)
            assert_close(whole.inverse(Z, C), X, 1e-5, "inverse")
            assert whole.sample(6, Y, seed=1).shape == X.shape
            each = whole.sample(3, Y, each=True, seed=1)
            assert each.shape == (4, 2, 2, 6, 3)
            assert_close(whole.log_prob(X, Y), glow.log_prob(X, embedding.forward(Y)), 1e-5, "log_prob")
            assert whole.summary(X.shape).rows[1].shape == Y.shape
            assert_close(inv.reverse(whole).forward(Z, Y)[0], X, 1e-4, "reversed")

    def test_images_of_the_wrong_size(self, engine):
        embedding = inv.EmbeddingBlock(2, 8, 3, size_out=(4, 4), engine=engine)
        whole = inv.SummarizedNet(inv.NetworkConditionalGlow(2, 3, 4, 1, 1, engine=engine), embedding)
        X, Y = arrays((4, 2, 2, 6), (1, 1, 2, 6))
        with pytest.raises(ValueError, match=r"spatial sizes \(4, 2\)"):
            whole.forward(X, Y)
        with pytest.raises(ValueError, match=r"spatial sizes \(1, 1\)"):
            whole.forward(X, X)


class TestBlocks:
    def test_a_unet_sees_all_of_the_image(self, engine):
        """One pixel changes what is far from it, and with no halving would not."""
        block = inv.UNet(1, 8, 1, depth=3, engine=engine, seed=1)
        (X,) = arrays((16, 16, 1, 1))
        before = block.forward(X)
        X[0, 0] += 10
        assert (block.forward(X)[-1, -1] != before[-1, -1]).all()

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda **kw: inv.UNet(1, 2, 3, depth=17, **kw), ValueError, "at most 16"),
            (lambda **kw: inv.UNet(1, 2, 0, **kw), ValueError, "n_out"),
            (lambda **kw: inv.UNet(1, 2, 3, **kw).forward(arrays((6, 8, 1, 1))[0]), ValueError, "multiples of 4"),
            (lambda **kw: inv.EmbeddingBlock(1, 2, 3, size_out=8, **kw), ValueError, "size_out"),
            (lambda **kw: inv.EmbeddingBlock(1, 2, 3, size_out=(8, 0), **kw), ValueError, r"size_out\[1\]"),
            (lambda **kw: inv.EmbeddingBlock(1, 2, 3, size_out=(8,), size_in=(2.0,), **kw), TypeError, "size_in"),
        ],
    )
    def test_unfit(self, engine, make, error, message):
        with pytest.raises(error, match=message):
            make(engine=engine)


class TestTakeConditionAsGiven:
    @pytest.mark.parametrize("summarized", [False, True])
    def test_constant_and_rare_features(self, engine, summarized):
        X, C = arrays((4, 4, 2, 6), (4, 4, 3, 6))
        C[:, :, 0], C[:, :, 1] = 1.0, 0.0
        C[:, :, 1, 0] = 1.0
        whole = network = inv.NetworkConditionalGlow(2, 3, 4, 1, 1, engine=engine, seed=1)
        with pytest.raises(ValueError, match="zero variance"):
            network.forward(X, C)
        if summarized:
            whole = inv.SummarizedNet(network, inv.ResidualBlock(3, 4, n_out=3, fan=True, engine=engine, seed=1))
        assert inv.take_condition_as_given(whole) is whole
        given = C if not summarized else whole.model.states(C)[-1]
        _, seen, _ = whole.forward(X, C)
        assert_close(seen, given, 0, "the condition")
        inv.fit(whole, X, C, epochs=1, validation=0, progress=False)
        assert np.isfinite(whole.log_prob(X, C)).all()

    def test_unfit(self, engine):
        with pytest.raises(ValueError, match="condition's ActNorm"):
            inv.take_condition_as_given(inv.NetworkGlow(2, 4, 1, 1, engine=engine))


class TestNetworkLoop:
    shapes = ((4, 4, 1, 3), (4, 4, 3, 3))

    def problem(self):
        eta, s = arrays(*self.shapes)
        d, A = arrays((5, 2, 3), (10, 16), seed=2)
        return eta, s, d, A

    def test_operators_agree(self, engine):
        from scipy.sparse.linalg import aslinearoperator

        eta, s, d, A = self.problem()
        network = inv.NetworkLoop(4, 4, 2, same, engine=engine, seed=1)
        expected = network.forward(eta, s, d, A)
        for got, array in zip(network.forward(eta, s, d, aslinearoperator(A)), expected, strict=True):
            assert_close(got, array, 1e-5, "LinearOperator")
        for got, array in zip(network.inverse(*expected, d, aslinearoperator(A)), (eta, s), strict=True):
            assert_close(got, array, 1e-4, "inverse")

    def test_link_function_inverts(self, engine):
        eta, s, d, A = self.problem()
        network = inv.NetworkLoop(4, 4, 2, np.tanh, type="HINT", engine=engine, seed=1)
        results = network.forward(eta, s, d, A)
        for got, array in zip(network.inverse(*results, d, A), (eta, s), strict=True):
            assert_close(got, array, 1e-4, "inverse")

    def test_unfit(self, engine):
        eta, s, d, A = self.problem()
        network = inv.NetworkLoop(4, 4, 1, same, engine=engine, seed=1)
        with pytest.raises(TypeError, match="matvec"):
            network.forward(eta, s, d, "A")
        with pytest.raises(ValueError, match=r"A must have shape \(10, 16\)"):
            network.forward(eta, s, d, np.asfortranarray(A.T))
        with pytest.raises(TypeError, match="d must be"):
            network.forward(eta, s, d.astype(np.float64), A)
        with pytest.raises(ValueError, match="3 samples"):
            network.forward(eta, s, d[..., :2], A)
        with pytest.raises(ValueError, match="axes but the channels"):
            network.forward(eta, np.asfortranarray(s[..., :2]), d, A)
        with pytest.raises(TypeError, match="psi"):
            inv.NetworkLoop(4, 4, 1, None, engine=engine)
        flat = inv.NetworkLoop(4, 4, 1, np.ravel, engine=engine, seed=1)
        with pytest.raises(ValueError, match="keep the shape"):
            flat.forward(eta, s, d, A)


class TestConstructors:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda **kw: inv.CouplingLayerHINT(6, 4, **kw), "power of two"),
            (lambda **kw: inv.CouplingLayerHINT(4, 4, permute="some", **kw), "permute"),
            (lambda **kw: inv.CouplingLayerIRIM(3, 4, **kw), "even"),
            (lambda **kw: inv.HyperbolicLayer(2, 3, 1, 1, action=1, **kw), "multiple of 4"),
            (lambda **kw: inv.HyperbolicLayer(2, 3, 1, 1, action="same", **kw), "action"),
            (lambda **kw: inv.HyperbolicLayer(2, 3, 1, 1, alpha=float("nan"), **kw), "alpha"),
            (lambda **kw: inv.NetworkHyperbolic(2, (), **kw), "architecture"),
            (lambda **kw: inv.NetworkHyperbolic(2, (0, 1), **kw), "architecture"),
            (lambda **kw: inv.NetworkHyperbolic(2, ((1, 4),), **kw), "multiple of 4"),
            (lambda **kw: inv.NetworkConditionalGlow(1, 1, 4, 1, 1, **kw), "n_in"),
            (lambda **kw: inv.NetworkMultiScaleHINT(3, 4, 1, 1, **kw), "power of two"),
            (lambda **kw: inv.NetworkLoop(4, 4, 1, same, type="other", **kw), "type"),
            (lambda **kw: inv.ConditionalResidualBlock(5, 5, 1, 2, 2, 1, 3, 1, k1=4, p1=0, s1=4, **kw), "stride"),
        ],
    )
    def test_refused(self, make, message, engine):
        with pytest.raises(ValueError, match=message):
            make(engine=engine)


def test_every_layer_and_network_has_a_case():
    kinds = {name for name, kind in vars(inv.networks).items() if isinstance(kind, type) and name != "FluxBlock"}
    assert kinds <= {type(case.make(engine="numpy")).__name__ for case in CASES.values()}
