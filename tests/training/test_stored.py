"""Training and densities of arrays outside memory: HDF5, Zarr, Dask, and what has their slices."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import pyinvnets as inv
from pyinvnets.arrays.stored import StoredArray, is_stored
from pyinvnets.training import stored
from pyinvnets.training.batches import ahead
from pyinvnets.training.stored import StoredSamples, by_blocks

N = 137
IMAGES = np.random.default_rng(0).standard_normal((N, 2, 4, 4), dtype=np.float32)


class Sliced:
    """The least that is taken: a shape, a dtype and slices; it remembers which were asked for."""

    def __init__(self, array, chunk):
        self.array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, (chunk, *array.shape[1:])
        self.read = []

    def __getitem__(self, part):
        self.read.append(part)
        return self.array[part]


def hdf5(folder, array):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "images.h5", "w") as file:
        file.create_dataset("group/x", data=array, chunks=(10, *array.shape[1:]), compression="gzip")
    return h5py.File(folder / "images.h5")["group/x"]


def zarr(folder, array):
    store = pytest.importorskip("zarr").open(
        str(folder / "images.zarr"), mode="w", shape=array.shape, chunks=(10, *array.shape[1:]), dtype=array.dtype
    )
    store[:] = array
    return store


def dask(folder, array):
    return pytest.importorskip("dask.array").from_array(array, chunks=(10, *array.shape[1:]))


def sliced(folder, array):
    return Sliced(array, 10)


KINDS = pytest.mark.parametrize("make", [hdf5, zarr, dask, sliced])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """As if the file were large: blocks of ten samples, and windows of some."""
    monkeypatch.setattr("pyinvnets.arrays.stored._BLOCK", 1)
    monkeypatch.setattr(stored, "_WINDOW", 30 * IMAGES[0].nbytes)


def glow():
    return inv.NetworkGlow(2, 8, 1, 2, engine="numpy", seed=1)


def fit(X, **given):
    G = glow()
    history = inv.fit(G, X, **{"epochs": 2, "batch_size": 16, "seed": 1, "progress": False} | given)
    return history.objective, history.validation, G.state_dict()


def samples(array, chosen=None, share=lambda n: slice(0, n), batch_size=16):
    chosen = np.arange(array.shape[0]) if chosen is None else chosen
    arrays = {"X": StoredArray(array), "condition": np.arange(array.shape[0], dtype=np.float32)[None, None, None]}
    return StoredSamples(arrays, chosen, batch_size, np.dtype(np.float32), share)


@KINDS
def test_all_kinds_give_the_same_training(tmp_path, make):
    objective, validation, weights = fit(make(tmp_path, IMAGES))
    expected = fit(Sliced(IMAGES, 10))
    assert (objective, validation) == expected[:2]
    assert all(np.array_equal(weights[name], value) for name, value in expected[2].items())


@KINDS
def test_log_prob(tmp_path, make):
    G = glow()
    G.forward(np.asfortranarray(IMAGES.T))
    expected = G.log_prob(np.asfortranarray(IMAGES.T))
    for given in ({}, {"batch_size": 7}):
        np.testing.assert_allclose(G.log_prob(make(tmp_path, IMAGES), **given), expected, rtol=1e-5)


def test_log_prob_given_a_condition():
    G = inv.NetworkConditionalGlow(2, 2, 8, 1, 2, engine="numpy", seed=1)
    X, C = np.asfortranarray(IMAGES.T), np.asfortranarray(IMAGES.T[..., ::-1])
    G.forward(X, C)
    np.testing.assert_allclose(G.log_prob(Sliced(IMAGES, 10), C), G.log_prob(X, C), rtol=1e-5)
    np.testing.assert_allclose(G.log_prob(Sliced(IMAGES, 10), C[..., :1]), G.log_prob(X, C[..., :1]), rtol=1e-5)


def test_every_sample_once_and_in_its_place():
    numbers = []
    for portion in samples(Sliced(IMAGES, 10)).shuffled(np.random.default_rng(0)):
        X, number = portion.own
        np.testing.assert_array_equal(X, IMAGES[number.ravel().astype(int)].T)
        assert X.flags.f_contiguous and portion.samples == X.shape[-1]
        numbers.append(number.ravel().astype(int))
    assert [len(each) for each in numbers] == [16] * (N // 16) + [N % 16]
    assert sorted(np.concatenate(numbers)) == list(range(N))
    assert len(set(numbers[0] // 10)) > 1  # samples of several blocks


def test_epochs_and_seeds_differ():
    rng = np.random.default_rng(0)
    some = samples(Sliced(IMAGES, 10))
    first, second = ([portion.own[1].ravel().tolist() for portion in some.shuffled(rng)] for _ in range(2))
    assert first != second


def test_shares_make_up_the_batches():
    whole = list(samples(Sliced(IMAGES, 10)).shuffled(np.random.default_rng(0)))
    shares = [
        samples(Sliced(IMAGES, 10), share=lambda n, r=r: slice(n * r // 3, n * (r + 1) // 3)).shuffled(
            np.random.default_rng(0)
        )
        for r in range(3)
    ]
    for expected, *parts in zip(whole, *shares, strict=True):
        np.testing.assert_array_equal(expected.own[0], np.concatenate([part.own[0] for part in parts], axis=-1))


def test_held_out_blocks():
    """Validation reads few blocks, not some samples of every one."""
    X = Sliced(IMAGES, 10)
    fit(X, validation=0.2, epochs=1)
    order = by_blocks(np.arange(N), 10, np.random.default_rng(1))
    assert sorted(order) == list(range(N))
    assert len(set(order[: round(0.2 * N)] // 10)) <= 4


def test_a_block_is_read_once_in_a_window():
    X = Sliced(IMAGES, 10)
    list(samples(X).in_order())
    assert sum(part.stop - part.start for part in X.read) == N
    blocks, windows = -(-N // 10), -(-N // 16)
    assert len(X.read) <= blocks + windows


def test_read_ahead():
    """The next is made while the one before is used, and no more."""
    made, started = [], threading.Semaphore(0)

    def make(item):
        made.append(item)
        started.release()
        return item

    items = ahead(make, range(5))
    for expected in range(5):
        assert next(items) == expected
        for _ in range(len(made), min(expected + 2, 5)):
            assert started.acquire(timeout=10)
        assert expected < len(made) <= expected + 2
    assert list(items) == [] and made == list(range(5))


def test_read_ahead_ends_with_the_loop():
    before = threading.active_count()
    items = ahead(lambda item: item, range(100))
    assert next(items) == 0 and threading.active_count() == before + 1
    items.close()
    assert threading.active_count() == before
    with pytest.raises(LookupError):
        list(ahead([1, 2].__getitem__, range(3)))


def test_resumed(tmp_path):
    X, path = Sliced(IMAGES, 10), tmp_path / "run.ckpt"
    fit(X, checkpoint=path, noise=0.1)
    assert fit(X, epochs=3, resume=path, noise=0.1)[2].keys()
    with pytest.raises(ValueError, match="on other samples"):
        fit(Sliced(IMAGES + 1, 10), epochs=3, resume=path, noise=0.1)


def test_not_finite_in_the_first_batch():
    X = IMAGES.copy()
    X[77, 0, 1, 1] = np.nan
    G = glow()
    before = {name: value.copy() for name, value in G.state_dict().items()}
    with pytest.raises(ValueError, match="fit: X: sample 77, counted from 0, is not finite"):
        inv.fit(G, Sliced(X, 10), batch_size=N, validation=0, seed=1, progress=False)
    assert all(np.array_equal(value, before[name]) for name, value in G.state_dict().items())


def test_not_finite_later():
    *_, last = samples(Sliced(IMAGES, 10)).shuffled(np.random.default_rng(1))
    number = int(last.own[1].ravel()[0])
    X = IMAGES.copy()
    X[number, 0, 1, 1] = np.nan
    with pytest.warns(RuntimeWarning, match=f"update 9 cannot be made, X: sample {number}, counted from 0"):
        history = inv.fit(glow(), Sliced(X, 10), batch_size=16, validation=0, seed=1, progress=False)
    assert history.updates == 8


def test_float64_is_converted():
    objective, *_ = fit(Sliced(IMAGES.astype(np.float64), 10))
    np.testing.assert_allclose(objective, fit(Sliced(IMAGES, 10))[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (Sliced(IMAGES[:, :1], 10), "n_channels = 2"),
        (Sliced(IMAGES.astype(np.uint8), 10), "float32"),
        (Sliced(IMAGES[:, :, 0, 0], 10), "shape"),
    ],
)
def test_refused(X, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fit(X)


@pytest.mark.parametrize("array", [IMAGES, IMAGES[0, 0, 0, 0], [1.0], None, "text"])
def test_what_is_in_memory_is_not_stored(array):
    assert not is_stored(array)


class TestCommands:
    """`python -m pyinvnets` on datasets in files."""

    @pytest.fixture
    def run(self, capsys):
        from pyinvnets.cli.main import main

        def run(*arguments):
            status = main([str(argument) for argument in arguments])
            return status, capsys.readouterr()

        return run

    @pytest.mark.parametrize("make", [hdf5, zarr])
    def test_train_and_log_prob(self, run, tmp_path, make):
        rows = (IMAGES[:, :, 0, 0] * 10).astype(np.int16)
        make(tmp_path, rows)
        (file,) = (path for path in tmp_path.iterdir())
        np.save(tmp_path / "rows.npy", rows)
        network = ("--network", "NetworkGlow(2, 8, 1, 2)", "--engine", "numpy", "--epochs", "1", "--seed", "1")
        status, said = run("train", file, *network, "--output", tmp_path / "w.safetensors")
        assert status == 0, said.err
        weights = tmp_path / "w.safetensors"
        densities = []
        for data in (file, tmp_path / "rows.npy"):
            status, said = run("log-prob", weights, data, "--engine", "numpy")
            assert status == 0, said.err
            densities.append(np.array(said.out.split(), float))
        np.testing.assert_allclose(*densities, rtol=1e-6)

    def test_several_datasets(self, run, tmp_path):
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "two.h5", "w") as file:
            file["a/x"], file["y"] = IMAGES, IMAGES
        status, said = run("train", tmp_path / "two.h5", "--engine", "numpy")
        assert status == 1 and "two.h5:NAME; those in the file: a/x, y" in said.err
        status, said = run(
            "train", f"{tmp_path}/two.h5:/a/x", "--engine", "numpy", "--epochs", "1", "--output", tmp_path / "two.h5"
        )
        assert status == 1 and "would overwrite DATA" in said.err

    def test_julia_layout(self, run, tmp_path):
        hdf5(tmp_path, IMAGES)
        status, said = run("train", tmp_path / "images.h5", "--julia-layout", "--engine", "numpy")
        assert status == 1 and "leave out --julia-layout" in said.err

    def test_damaged(self, run, tmp_path):
        hdf5(tmp_path, IMAGES)
        path = tmp_path / "images.h5"
        path.write_bytes(path.read_bytes()[:1000])
        status, said = run("train", path, "--engine", "numpy")
        assert status == 1 and "is not a whole HDF5 file" in said.err
        (tmp_path / "folder").mkdir()
        pytest.importorskip("zarr")
        status, said = run("train", tmp_path / "folder", "--engine", "numpy")
        assert status == 1 and "holds no array or group of Zarr" in said.err
