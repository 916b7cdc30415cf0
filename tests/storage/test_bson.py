"""Weights in files of Julia's BSON, read without Julia and compared with what Julia reads and computes."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest

import pyinvnets as inv
from helpers.golden_files import FOLDER, Golden
from pyinvnets.validation.golden import CASES

FILE = FOLDER / "glow_1d.bson"
"""What Julia wrote by `save_params` from the case `glow_1d`."""


def golden_network(name, engine):
    golden = Golden(name)
    network = CASES[name](engine=engine).astype(golden["in/0"].dtype)
    network.load_state_dict(golden.group("param"))
    return network, golden


def assert_parameters(values, golden):
    expected = golden.group("param")
    assert len(values) == len(golden.meta["parameters"])
    for name, value in zip(golden.meta["parameters"], values, strict=True):
        assert value.dtype == expected[name].dtype and value.flags.f_contiguous
        np.testing.assert_array_equal(value, expected[name])


def test_parameters_are_julias():
    assert_parameters(inv.load_bson(FILE), Golden("glow_1d"))


def test_into_a_network(engine):
    golden = Golden("glow_1d")
    network = CASES["glow_1d"](engine=engine).astype(np.float64)
    inv.set_params(network, inv.load_bson(FILE))
    Z, lgdet = network.forward(golden["in/0"])
    np.testing.assert_allclose(Z, golden["out/0"], rtol=1e-10, atol=1e-12)
    assert lgdet == pytest.approx(float(golden["out/1"]), rel=1e-10)


def test_of_another_network(engine):
    values = inv.load_bson(FILE)
    fewer = inv.NetworkGlow(2, 8, 1, 1, ndims=1, engine=engine, seed=1)
    wider = inv.NetworkGlow(2, 16, 1, 2, ndims=1, engine=engine, seed=1)
    for network, message in (
        (fewer, "NetworkGlow has 10 parameters, got 20"),
        (wider, r"CL\[1,1\].RB.W1 has shape \(3, 1, 16\), got an array of shape \(3, 1, 8\)"),
    ):
        before = network.state_dict()
        with pytest.raises(ValueError, match=message):
            inv.set_params(network, values)
        after = network.state_dict()
        assert after.keys() == before.keys()
        assert all((after[name] == before[name]).all() for name in before)


def test_damaged_and_foreign_files(tmp_path):
    whole, path = FILE.read_bytes(), tmp_path / "weights.bson"
    with pytest.raises(FileNotFoundError, match="no BSON file at"):
        inv.load_bson(path)
    safetensors = tmp_path / "weights.safetensors"
    inv.save(inv.Conv1x1(4, engine="numpy", seed=1), safetensors)
    damaged = [whole[:cut] for cut in range(0, len(whole), 97)] + [whole + b"\0", bytes(100), safetensors.read_bytes()]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"weights.bson is not a whole file of Julia's BSON"):
            inv.load_bson(path)


def test_any_byte_may_be_wrong(tmp_path):
    """Whatever a file holds, it is read or refused, and never run."""
    whole, path = FILE.read_bytes(), tmp_path / "weights.bson"
    rng = np.random.default_rng(1)
    for at in rng.choice(len(whole), 300, replace=False):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ int(rng.integers(1, 256))]) + whole[at + 1 :])
        with contextlib.suppress(ValueError):
            assert all(value is None or isinstance(value, np.ndarray) for value in inv.load_bson(path))


def test_a_reference_to_itself(tmp_path):
    reference = b"\x03x\0" + document(b"\x02tag\0\x08\0\0\0backref\0", b"\x10ref\0\1\0\0\0")
    path = tmp_path / "weights.bson"
    path.write_bytes(document(reference, b"\x04_backrefs\0" + document(reference.replace(b"x", b"0", 1))))
    with pytest.raises(ValueError, match="references lead round and round"):
        inv.load_bson(path)


@pytest.mark.parametrize("kind", [b"\x02", b"\x05"])
def test_a_negative_size(kind, tmp_path):
    """Twenty bytes that once were read round and round, with a new value each time."""
    path = tmp_path / "weights.bson"
    content = struct.pack("<i", 20) + kind + b"a\0" + struct.pack("<i", -7) + b"\0" * 9
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a value of -7 bytes"):
        inv.load_bson(path)


def test_references_that_double_at_each_step(tmp_path):
    """Forty lists of two references each to the next one: a million million values in two kilobytes."""

    def reference(name, number):
        return (
            b"\x03" + name + b"\0" + document(b"\x02tag\0\x08\0\0\0backref\0", b"\x10ref\0" + struct.pack("<i", number))
        )

    lists = [b"\x04%d\0" % i + document(reference(b"0", i + 2), reference(b"1", i + 2)) for i in range(40)]
    path = tmp_path / "weights.bson"
    path.write_bytes(document(reference(b"x", 1), b"\x04_backrefs\0" + document(*lists, b"\x0440\0" + document())))
    with pytest.raises(ValueError, match="references lead round and round"):
        inv.load_bson(path)


def test_a_size_that_is_not_julias(tmp_path):
    """NumPy works out a size of -1; in a file it is damage."""
    whole, path = FILE.read_bytes(), tmp_path / "weights.bson"
    size = b"size\0" + document(b"\x120\0" + struct.pack("<q", 2))
    assert size in whole
    path.write_bytes(whole.replace(size, b"size\0" + document(b"\x120\0" + struct.pack("<q", -1)), 1))
    with pytest.raises(ValueError, match="not a whole file"):
        inv.load_bson(path)


def document(*pairs):
    content = b"".join(pairs) + b"\0"
    return (len(content) + 4).to_bytes(4, "little") + content


@pytest.fixture(scope="module")
def jl():
    inv.ActNorm(1, engine="julia")  # starts Julia
    from juliacall import Main

    if not Main.seval('!isnothing(Base.identify_package("BSON"))'):
        pytest.skip("the Julia project has no BSON")
    Main.seval("import BSON, Flux, InvertibleNetworks")
    Main.seval(
        """
        function save_params(path, G)
            net_params = InvertibleNetworks.get_params(G) |> Flux.cpu
            BSON.@save path net_params
        end
        save_network(path, G) = BSON.@save path G
        function load_and_run(path, G, X)
            net_params_loaded = BSON.load(path)[:net_params]
            InvertibleNetworks.set_params!(G, net_params_loaded)
            return G.forward(Array(X))
        end
        save_several(path, G, H) = BSON.@save path X=ones(3) first=InvertibleNetworks.get_params(G) H
        """
    )
    return Main


@pytest.mark.julia
class TestJulia:
    def test_the_file_of_the_other_tests(self, jl, tmp_path):
        network, _ = golden_network("glow_1d", "julia")
        jl.save_params(str(tmp_path / "w.bson"), network.julia)
        assert (tmp_path / "w.bson").read_bytes() == FILE.read_bytes()

    def test_as_upstreams_example(self, jl, engine, tmp_path):
        """Trained in Julia, saved by Julia: the outputs are those of the network that Julia loads."""
        G = inv.NetworkGlow(2, 8, 2, 2, engine="julia", seed=1)
        X = np.random.default_rng(0).standard_normal((4, 2, 32, 32), dtype=np.float32).T
        Z, _ = G.forward(X)
        G.backward(np.asfortranarray(Z / 4), Z)
        inv.Adam(1e-3).update(G)
        path = str(tmp_path / "net_params.bson")
        jl.save_params(path, G.julia)
        expected, lgdet = jl.load_and_run(path, inv.NetworkGlow(2, 8, 2, 2, engine="julia", seed=2).julia, X)

        G_new = inv.NetworkGlow(2, 8, 2, 2, engine=engine, seed=3)
        inv.set_params(G_new, inv.load_bson(path))
        found, found_lgdet = G_new.forward(X)
        np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-4, atol=1e-4)
        assert found_lgdet == pytest.approx(lgdet, rel=1e-5)

    @pytest.mark.parametrize(
        "name",
        ["glow_image_split", "glow_dense", "conditional_glow", "multiscale_conditional_hint", "hyperbolic_network"],
    )
    def test_whole_networks(self, name, jl, tmp_path):
        network, golden = golden_network(name, "julia")
        jl.save_network(str(tmp_path / "net.bson"), network.julia)
        assert_parameters(inv.load_bson(tmp_path / "net.bson"), golden)

    def test_several_variables(self, jl, tmp_path):
        path = tmp_path / "several.bson"
        G, H = inv.ActNorm(3, engine="julia"), inv.Conv1x1(4, engine="julia")
        jl.save_several(str(path), G.julia, H.julia)
        with pytest.raises(ValueError, match="parameters in (first, H|H, first); choose one, such as name='"):
            inv.load_bson(path)
        with pytest.raises(ValueError, match="has no variable 'net_params', it has"):
            inv.load_bson(path, name="net_params")
        with pytest.raises(ValueError, match="found none in X"):
            inv.load_bson(path, name="X")
        assert inv.load_bson(path, name="first") == [None, None]
        inv.set_params(inv.ActNorm(3, engine="numpy"), [None, None])
        assert [v.shape for v in inv.load_bson(path, name="H")] == [(4,)] * 3

    def test_parameters_that_are_no_arrays_of_floats(self, jl, tmp_path):
        path = str(tmp_path / "w.bson")
        jl.seval("path -> (P = [InvertibleNetworks.Parameter(Float16[1, 2])]; BSON.@save path P)")(path)
        with pytest.raises(
            ValueError, match="P holds a parameter of type Float16, expected Array of Float32 or Float64"
        ):
            inv.load_bson(path)
