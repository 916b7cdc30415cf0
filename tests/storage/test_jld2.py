"""Weights in files of Julia's JLD2, read without Julia: two that JLD2 wrote, and others by a writer of these tests,
which follows JLD2's source byte by byte."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest

import pyinvnets as inv
from attacks import jld2_files
from attacks.jld2_files import Struct, parameter
from helpers.golden_files import FOLDER, Golden
from pyinvnets.validation.golden import CASES


def parameters(golden):
    """Upstream's vector of parameters, with gradients beside."""
    values = golden.group("param")
    return [parameter(values.get(name), np.ones(3)) for name in golden.meta["parameters"]]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "params.jld2"


def assert_parameters(values, golden):
    expected = golden.group("param")
    for name, value in zip(golden.meta["parameters"], values, strict=True):
        assert value.dtype == expected[name].dtype and value.flags.f_contiguous and value.flags.writeable
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("name", ["glow_1d.jld2", "glow_1d_network.jld2"])
def test_julias_own_files(name):
    """Parameters, and a whole network whose arrays are compressed."""
    assert_parameters(inv.load_jld2(FOLDER / name), Golden("glow_1d"))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ["glow_1d", "glow_tutorial_f32", "glow_image_split", "conditional_glow"])
def test_parameters(name, compress, path):
    golden = Golden(name)
    jld2_files.write(path, {"params": parameters(golden), "losses": np.arange(3.0)}, compress=compress)
    assert_parameters(inv.load_jld2(path), golden)


def test_the_files_are_hdf5(path):
    """The HDF5 library reads the same from what these tests write."""
    h5py = pytest.importorskip("h5py")
    golden = Golden("glow_1d")
    jld2_files.write(path, {"params": parameters(golden)})
    with h5py.File(path) as file:
        found = [file[file[reference][()]["data"]][()].T for reference in file["params"]]
    for value, own in zip(found, inv.load_jld2(path), strict=True):
        np.testing.assert_array_equal(value, own)


def test_into_a_network(engine, path):
    golden = Golden("glow_1d")
    jld2_files.write(path, {"params": parameters(golden)})
    network = CASES["glow_1d"](engine=engine).astype(np.float64)
    inv.set_params(network, inv.load_jld2(path))
    Z, lgdet = network.forward(golden["in/0"])
    np.testing.assert_allclose(Z, golden["out/0"], rtol=1e-10, atol=1e-12)
    assert lgdet == pytest.approx(float(golden["out/1"]), rel=1e-10)


def test_a_whole_network(path):
    """Fields that are objects of their own, structs inside, matrices of layers row by row, and what is no layer."""
    a, b, c, d, e = (parameter(np.full(2, i, np.float32)) for i in range(5))
    layers = np.empty((2, 2), object)
    layers[:] = [[Struct("InvertibleNetworks.ActNorm", k=1, s=p, b=None) for p in row] for row in ((a, b), (c, d))]
    inner = Struct("InvertibleNetworks.ResidualBlock", W=e, fan=1)
    other = Struct("Main.Optimiser", data=parameter(np.full(2, 9.0)))
    G = Struct("InvertibleNetworks.NetworkGlow", AN=layers, RB=inner, other=[other], again=e)
    jld2_files.write(path, {"G": G})
    assert [value[0] for value in inv.load_jld2(path)] == [0, 1, 2, 3, 4, 4]


def test_never_used(path):
    jld2_files.write(path, {"params": [parameter(None), parameter(np.ones((2, 3), np.float32)), parameter(None)]})
    first, second, third = inv.load_jld2(path)
    assert first is third is None and second.shape == (2, 3)


def test_what_julia_has_once_is_here_once(path):
    shared = np.ones(3)
    jld2_files.write(path, {"params": [parameter(shared), parameter(shared)]})
    first, second = inv.load_jld2(path)
    assert first is second


def test_several_variables(path):
    first, second = [parameter(np.zeros(1))], [parameter(np.ones(2)), parameter(None)]
    jld2_files.write(path, {"x": np.ones(3), "net": {"first": first, "second": second}, "n": None})
    with pytest.raises(ValueError, match="parameters in net/first, net/second; choose one, such as name='net/first'"):
        inv.load_jld2(path)
    with pytest.raises(ValueError, match="has no variable 'params', it has x, n, net/first, net/second"):
        inv.load_jld2(path, name="params")
    with pytest.raises(ValueError, match="found none in x"):
        inv.load_jld2(path, name="x")
    values = inv.load_jld2(path, name="net/second")
    assert values[1] is None and values[0].shape == (2,)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (np.zeros(2, np.float16), "Float16"),
        (np.zeros(2, np.int64), "Int or UInt 64"),
        (Struct("CUDA.CuArray", data=None), "CUDA.CuArray"),
    ],
)
def test_parameters_that_are_no_arrays_of_floats(value, name, path):
    jld2_files.write(path, {"P": [parameter(value)]})
    with pytest.raises(ValueError, match=f"P holds a parameter of type {name}, expected Array of Float32 or Float64"):
        inv.load_jld2(path)


def test_compressed_by_what_cannot_be_read(path):
    jld2_files.write(path, {"P": [parameter(np.zeros(2))]}, compress="zstd")
    with pytest.raises(ValueError, match=r"params.jld2 is compressed by Zstandard; in Julia, save it with compress="):
        inv.load_jld2(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("jld2") / "whole.jld2"
    jld2_files.write(path, {"params": parameters(Golden("glow_1d"))})
    return path.read_bytes()


class TestDamage:
    def test_truncated_and_foreign(self, whole, path, tmp_path):
        with pytest.raises(FileNotFoundError, match="no JLD2 file at"):
            inv.load_jld2(path)
        safetensors = tmp_path / "weights.safetensors"
        inv.save(inv.Conv1x1(4, engine="numpy", seed=1), safetensors)
        for content in [*(whole[:cut] for cut in range(0, len(whole), 197)), bytes(1000), safetensors.read_bytes()]:
            path.write_bytes(content)
            with pytest.raises(ValueError, match=r"params.jld2 is not a whole file of Julia's JLD2"):
                inv.load_jld2(path)

    def test_any_byte_may_be_wrong(self, whole, path):
        rng = np.random.default_rng(1)
        for at in rng.choice(np.arange(jld2_files.BASE, len(whole)), 300, replace=False):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ int(rng.integers(1, 256))]) + whole[at + 1 :])
            with contextlib.suppress(ValueError):
                assert all(value is None or isinstance(value, np.ndarray) for value in inv.load_jld2(path))

    def test_references_that_double_at_each_step(self, path):
        """Forty arrays of two references each to the next one: a million million values in some kilobytes."""
        value = [parameter(np.zeros(1))]
        for _ in range(40):
            value = [value, value]
        jld2_files.write(path, {"params": value})
        with pytest.raises(ValueError, match="references lead round and round"):
            inv.load_jld2(path)

    def test_a_bomb(self, path):
        """A megabyte of zeros that claims to be sixteen terabytes."""
        jld2_files.write(path, {"params": [parameter(np.zeros(123_457))]}, compress=True)
        content, size = path.read_bytes(), struct.pack("<Q", 123_457)
        assert content.count(size) == 2
        path.write_bytes(content.replace(size, struct.pack("<Q", 2**41)))
        with pytest.raises(ValueError, match="not a whole file"):
            inv.load_jld2(path)
