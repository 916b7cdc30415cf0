"""What `fit` says of data that cannot be used, and which other data it takes than the obvious."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest

import pyinvnets as inv


def samples(n=200, seed=0, channels=2):
    X = np.random.default_rng(seed).standard_normal((n, channels, 1, 1), dtype=np.float32)
    X[:, 1:] += 0.8 * X[:, :1]
    return X.T


def glow(engine="numpy"):
    return inv.NetworkGlow(2, 4, 1, 2, engine=engine, seed=1)


def conditional(K=2):
    return inv.NetworkConditionalGlow(2, 3, 4, 1, K, engine="numpy", seed=1)


def mapped(path, X):
    array = np.memmap(path, X.dtype, "w+", shape=X.T.shape)
    array[:] = X.T
    return array.T


def same(state, other):
    return state.keys() == other.keys() and all((state[name] == other[name]).all() for name in state)


fit = functools.partial(inv.fit, progress=False, seed=1, batch_size=20)


class TestNotFinite:
    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
    def test_an_array_in_memory_is_refused_by_sample(self, value):
        X = samples().astype(float)
        X[0, 0, 1, 137] = value
        G = glow()
        before = G.state_dict()
        with pytest.raises(ValueError, match="fit: X: sample 137, counted from 0, is not finite in float32"):
            fit(G, X)
        assert same(G.state_dict(), before)

    def test_a_condition_and_held_out_samples_too(self):
        X, C = samples(), samples(200, 1, 3)
        bad = C.copy()
        bad[..., 5] = np.nan
        with pytest.raises(ValueError, match="fit: condition: sample 5,"):
            fit(conditional(), X, bad)
        with pytest.raises(ValueError, match="fit: condition: sample 5,"):
            fit(conditional(), X, C, validation=(X, bad))

    def test_a_mapped_array_in_the_first_batch(self, tmp_path):
        X = samples()
        X[..., 17] = np.nan
        G = glow()
        before = G.state_dict()
        with pytest.raises(ValueError, match="fit: X: sample 17, counted from 0"):
            fit(G, mapped(tmp_path / "X", X), batch_size=200, validation=0)
        assert same(G.state_dict(), before) and not G.initialised

    def test_a_mapped_array_later_on(self, tmp_path):
        """Training ends there, with usable weights."""
        X = samples()
        first = np.random.default_rng(1).permutation(200)[:20]
        bad = next(i for i in range(200) if i not in first)
        X[..., bad] = np.nan
        G = glow()
        with pytest.warns(RuntimeWarning, match=f"cannot be made, X: sample {bad}, counted from 0") as warned:
            history = fit(G, mapped(tmp_path / "X", X), validation=0)
        assert warned[0].filename == __file__ and f"sample {bad}," in history.stopped
        assert all(np.isfinite(p.data).all() for p in inv.get_params(G))

    def test_the_first_batch_of_a_stream(self):
        X = samples(20)
        X[..., 3] = np.inf
        G = glow()
        with pytest.raises(ValueError, match="fit: X of a batch: sample 3, counted from 0"):
            fit(G, [X])
        assert not G.initialised


class TestConstantChannels:
    def test_of_the_condition_is_said_to_be(self):
        """By any number of steps; it is the condition's ActNorm that cannot be set, but X's that is spoilt first."""
        C = samples(200, 1, 3)
        C[:, :, 1] = 0.5
        for K in (1, 3):
            G = conditional(K)
            before = G.state_dict()
            with pytest.raises(ValueError, match=r"channel\(s\) 2 of the condition have zero variance"):
                fit(G, samples(), C)
            with pytest.raises(ValueError, match=r"channel\(s\) 2 of the condition have zero variance"):
                G.forward(samples(), C)
            assert same(G.state_dict(), before)

    def test_of_the_data(self):
        X = samples()
        X[:, :, 0] = 1
        with pytest.raises(ValueError, match=r"channel\(s\) 1 of X have zero variance"):
            fit(glow(), X)

    @pytest.mark.parametrize("on_disk", [False, True])
    def test_a_rare_class_can_be_trained(self, on_disk, tmp_path):
        """It is absent from the first batch: ActNorm is set with a sample of it besides."""
        C = np.zeros((1, 1, 3, 200), np.float32)
        order = np.random.default_rng(1).permutation(200)
        classes = np.arange(200) % 2
        classes[order[-1]] = 2
        C[0, 0, classes, np.arange(200)] = 1
        G = conditional()
        given = mapped(tmp_path / "C", C) if on_disk else C
        history = fit(G, samples(), given, epochs=2, validation=0)
        assert history.updates == 20 and np.isfinite(history.objective).all()
        assert np.isfinite(G.log_prob(samples(), C)).all()

    def test_batches_that_vary_are_not_touched(self):
        """The first update is that of the first batch alone."""
        C, X = samples(200, 1, 3), samples()
        G, H = conditional(), conditional()
        first = np.sort(np.random.default_rng(1).permutation(200)[:20])
        fit(G, X, C, epochs=1, validation=0, learning_rate=1e-30)
        H.forward(np.asfortranarray(X[..., first]), np.asfortranarray(C[..., first]))
        np.testing.assert_array_equal(inv.named_params(G)["AN_C.s"].data, inv.named_params(H)["AN_C.s"].data)


class TestOtherTypes:
    def test_doubles_are_cast_batch_by_batch(self):
        X = samples().astype(np.float64) + 1e-12
        G, H = glow(), glow()
        assert fit(G, X, epochs=2).objective == fit(H, X.astype(np.float32), epochs=2).objective
        assert G.dtype == np.float32 and same(G.state_dict(), H.state_dict())

    def test_single_precision_for_a_network_in_double(self):
        G, H = glow().astype(np.float64), glow().astype(np.float64)
        assert fit(G, samples(), epochs=1).objective == fit(H, samples().astype(float), epochs=1).objective

    def test_batches_of_an_iterable_too(self):
        batches = [samples(20, seed) for seed in range(3)]
        G, H = glow(), glow()
        assert fit(G, [b.astype(float) for b in batches], epochs=1).objective == fit(H, batches, epochs=1).objective

    def test_defaults(self):
        history = inv.fit(glow(), samples(300), progress=False, seed=1)
        assert history.epochs == 10 and history.samples[:3] == [128, 128, 14]

    def test_numpys_numbers(self):
        """They are numbers, and are kept as Python's own."""
        X = samples()
        numbers = {
            "epochs": np.int64(2),
            "batch_size": np.int32(20),
            "patience": np.int64(5),
            "learning_rate": np.float32(0.01),
            "validation": np.float32(0.25),
            "clip_norm": np.float64(5),
            "noise": np.float32(0.5),
            "seed": np.uint8(1),
        }
        G, H = glow(), glow()
        plain = {name: value.item() for name, value in numbers.items()}
        assert inv.fit(G, X, progress=False, **numbers).objective == inv.fit(H, X, progress=False, **plain).objective

    def test_constructors_take_them_too(self, tmp_path):
        flow = inv.VectorFlow(np.int64(2), K=np.int64(2), n_hidden=np.int32(4), engine="numpy", seed=np.int64(1))
        assert repr(flow) == repr(inv.VectorFlow(2, K=2, n_hidden=4, engine="numpy", seed=1))
        assert all(type(value) is not np.int64 for value in flow.network.arguments.values())
        G = inv.NetworkGlow(
            np.int64(2), 4, 1, 2, split_scales=np.bool_(False), activation=inv.SigmoidLayer(np.float32(0.5)),
            engine="numpy", seed=1,
        )  # fmt: skip
        G.forward(samples())
        inv.save(G, tmp_path / "G")
        assert repr(inv.load(tmp_path / "G", engine="numpy")) == repr(G)
        with pytest.raises(TypeError, match=r"K must be an integer, got 2.0"):
            inv.VectorFlow(2, K=np.float64(2), engine="numpy")


class TestOneSample:
    def test_alone_it_is_an_error_and_no_warning(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match="zero variance"):
                fit(glow(), samples(1), validation=0)

    def test_in_a_batch_of_its_own(self):
        G = glow()
        G.forward(samples())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert fit(G, samples(21), validation=0, epochs=1).samples == [20, 1]


class TestResume:
    def test_other_samples_of_equal_number_are_refused(self, tmp_path):
        X, path = samples(), tmp_path / "c"
        fit(glow(), X, epochs=1, checkpoint=path)
        G = glow()
        with pytest.raises(ValueError, match="was written in training on other samples"):
            fit(G, samples(seed=1), epochs=2, resume=path)
        assert not G.initialised
        assert fit(G, mapped(tmp_path / "X", X).astype(np.float64), epochs=2, resume=path).epochs == 2

    def test_other_held_out_samples_too(self, tmp_path):
        X, path = samples(), tmp_path / "c"
        fit(glow(), X, epochs=1, validation=samples(50, 1), checkpoint=path)
        with pytest.raises(ValueError, match="other samples"):
            fit(glow(), X, epochs=2, validation=samples(50, 2), resume=path)
        fit(glow(), X, epochs=2, validation=samples(50, 1), resume=path)

    @pytest.mark.parametrize("spoil", ["optimiser", "weights", "spatial", "terms"])
    def test_a_foreign_state_is_refused_before_anything_changes(self, spoil, tmp_path):
        """It is well-formed, and belongs to another network."""
        from pyinvnets.training.checkpoints import read_checkpoint, write_checkpoint

        X, path = samples(), tmp_path / "c"
        fit(glow(), X, epochs=1, checkpoint=path)
        checkpoint = read_checkpoint(path)
        if spoil == "optimiser":
            checkpoint.optimiser = {"velocity": checkpoint.optimiser["m"]}
        elif spoil == "weights":
            checkpoint.weights = checkpoint.best = {f"A{n}": w for n, w in checkpoint.weights.items()}
        elif spoil == "spatial":
            checkpoint.spatial = [3]
        else:
            checkpoint.history.terms = {"kl": checkpoint.history.l2}
        write_checkpoint(path, checkpoint)
        G = glow()
        before = G.state_dict()
        made = []

        def optimizer(rate):
            made.append(inv.Adam(rate))
            return made[-1]

        with pytest.raises(ValueError, match="Adam|parameters|size|terms"):
            fit(G, X, epochs=2, resume=path, optimizer=optimizer)
        assert same(G.state_dict(), before) and not G.initialised and G.spatial is None
        assert all((array == 0).all() for array in made[0].state_dict(G).values())


class TestCallback:
    @pytest.mark.parametrize("answer", [True, np.True_])
    def test_true_ends_training(self, answer):
        history = fit(glow(), samples(), epochs=9, callback=lambda G, history: answer if history.epochs == 2 else None)
        assert history.epochs == 2 and history.stopped == "the callback ended it"

    def test_anything_else_does_not(self):
        assert fit(glow(), samples(), epochs=3, callback=lambda G, history: [1]).epochs == 3
