"""Weights on disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import resource
import stat
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import pyinvnets as inv
from helpers.processes import run_python
from pyinvnets.networks.base.shapes import parameter_shapes
from pyinvnets.storage.weights import kinds
from pyinvnets.validation.cases import CASES
from pyinvnets.validation.golden import CASES as GOLDEN_CASES


@pytest.fixture
def G(engine):
    network = inv.NetworkGlow(
        2, 4, 2, 1, split_scales=True, squeezer=inv.HaarLayer(), activation=inv.SigmoidLayer(0.5, 1.0), engine=engine
    ).astype(np.float64)
    network.forward(np.asfortranarray(np.random.default_rng(0).standard_normal((4, 8, 2, 3))))
    return network


def test_round_trip(G, engine, tmp_path):
    path = tmp_path / "weights.safetensors"
    inv.save(G, path)
    H = inv.load(path, engine=engine)
    assert repr(H) == repr(G) and H.dtype == np.float64
    X = np.asfortranarray(np.random.default_rng(1).standard_normal((4, 8, 2, 2)))
    Z, _ = G.forward(X)
    np.testing.assert_array_equal(H.inverse(Z), G.inverse(Z))
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


def test_the_file_holds_named_parameters_in_julias_shapes(G, tmp_path):
    inv.save(G, tmp_path / "w")
    state = load_file(tmp_path / "w")
    assert set(state) == set(inv.named_params(G))
    assert state["CL[1,1].RB.W1"].shape == (3, 3, 4, 4)


def test_a_network_never_used(engine, tmp_path):
    G = inv.NetworkGlow(2, 4, 1, 1, engine=engine)
    inv.save(G, tmp_path / "w")
    H = inv.load(tmp_path / "w", engine=engine)
    assert inv.named_params(H)["AN[1,1].s"].data is None


def test_it_is_what_safetensors_writes(G, tmp_path):
    inv.save(G, tmp_path / "w")
    save_file({name: np.ascontiguousarray(array) for name, array in G.state_dict().items()}, tmp_path / "theirs")
    ours, theirs = load_file(tmp_path / "w"), load_file(tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        assert ours[name].dtype == array.dtype
        np.testing.assert_array_equal(ours[name], array)


def test_wrong_files(G, tmp_path):
    path = tmp_path / "w"
    with pytest.raises(FileNotFoundError, match="no weights file at"):
        inv.load(path)
    inv.save(G, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        inv.load(path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        inv.load(path)
    save_file({"a": np.ones(3)}, path)
    with pytest.raises(ValueError, match=r"not written by pyinvnets\.save.*got None"):
        inv.load(path)


def test_parameters_of_another_network(G, engine, tmp_path):
    from safetensors import safe_open

    path = tmp_path / "w"
    inv.save(G, path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    state = load_file(path)
    state["strange"] = state.pop("CL[1,1].C.v1")
    save_file(state, path, metadata)
    with pytest.raises(ValueError, match=r"missing: CL\[1,1\]\.C\.v1; unknown: strange"):
        inv.load(path, engine=engine)
    save_file(state, path, metadata | {"constructor": '{"class": "os.system"}'})
    with pytest.raises(ValueError, match="metadata"):
        inv.load(path, engine=engine)


@pytest.fixture
def rewritten(tmp_path):
    """A function that gives a file of a small network, with other metadata or arrays."""
    path = tmp_path / "w"

    def rewrite(arrays=None, **metadata):
        inv.save(inv.NetworkGlow(2, 4, 1, 1, engine="numpy", seed=1), path)
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            before = file.metadata()
        save_file(load_file(path) | (arrays or {}), path, before | metadata)
        return path

    return rewrite


def constructor(name="NetworkGlow", **arguments):
    return json.dumps({"class": name, "arguments": {"n_in": 2, "n_hidden": 4, "L": 1, "K": 1} | arguments})


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"constructor": constructor("get_engine")}, "'get_engine' in its metadata is no network"),
        ({"constructor": constructor("__init__")}, "'__init__' in its metadata is no network"),
        ({"constructor": constructor("FluxBlock")}, "other arguments than it takes"),
        ({"constructor": json.dumps({"class": "FluxBlock", "arguments": {"model": "exit()"}})}, "no file does"),
        ({"constructor": json.dumps({"class": "NetworkGlow", "arguments": [2, 4, 1, 1]})}, "a class and its arguments"),
        ({"constructor": json.dumps({"class": "Sequential", "arguments": {}})}, "other arguments than it takes"),
        ({"constructor": "3"}, "expected a network in its metadata, got 3"),
        ({"constructor": "[" * 100_000}, "cannot be read: "),
        ({"constructor": constructor(seed=1)}, "see seed"),
        ({"constructor": constructor(n_hidden=None)}, "has shape"),
        ({"constructor": constructor(ndims=10**9)}, "ndims must be 1, 2 or 3"),
        ({"constructor": constructor(activation=3)}, "activation must be one such as"),
        ({"dtype": "float16"}, "expected dtype float32 or float64"),
        ({"spatial": '"ab"'}, "expected the spatial sizes of images"),
        ({"spatial": "[1, 1e400]"}, "expected the spatial sizes of images"),
        ({"spatial": "[1, 1, 1]"}, "spatial must belong to"),
        ({"spatial": json.dumps([1] * 3000)}, "expected the spatial sizes of images"),
        ({"arrays": {"CL[1,1].C.v1": np.zeros(2)}}, "is of type F64, expected F32"),
        ({"arrays": {"CL[1,1].C.v1": np.zeros(2, np.int8)}}, "is of type I8, expected F32"),
        ({"arrays": {"CL[1,1].C.v1": np.zeros(3, np.float32)}}, r"has shape \(3,\), but NetworkGlow .* has \(2,\)"),
    ],
)
def test_whatever_a_file_says_it_is_one_error(rewritten, metadata, message):
    path = rewritten(**metadata)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} cannot be read: .*{message}|{message}") as refused:
        inv.load(path, engine="numpy")
    assert str(path) in str(refused.value) and len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_hidden": 20_000},
        {"K": 10**9},
        {"L": 10**9},
        {"n_in": 2**40},
        {"k1": 10**6},
        {"L": 10**9, "split_scales": True},
    ],
)
def test_nothing_is_built_that_the_file_has_no_parameters_for(rewritten, arguments):
    path = rewritten(constructor=constructor(**arguments))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="has shape|lacks|missing"):
            inv.load(path, engine="numpy")
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def test_a_damaged_file_starts_no_engine(rewritten, monkeypatch):
    monkeypatch.setattr("pyinvnets.storage.weights.get_engine", lambda name: pytest.fail(f"{name} was started"))
    path = rewritten(constructor=constructor(K=3))
    with pytest.raises(ValueError, match="lacks"):
        inv.load(path, engine="julia")


def test_an_act_norm_without_values_is_not_of_any_size(rewritten, tmp_path):
    path = tmp_path / "w"
    inv.save(inv.ActNorm(1000, engine="numpy"), path)
    assert inv.load(path, engine="numpy").arguments["k"] == 1000
    save_file({}, path, safe_metadata(path) | {"constructor": '{"class": "ActNorm", "arguments": {"k": 1000000000}}'})
    with pytest.raises(ValueError, match="parameters that the file lacks"):
        inv.load(path, engine="numpy")


def safe_metadata(path):
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return file.metadata()


NETWORKS = {name: case.network for name, case in CASES.items() if not name.startswith("NetworkLoop")} | {
    name: lambda engine, make=make: make(engine=engine) for name, make in GOLDEN_CASES.items() if "loop" not in name
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shapes_that_arguments_imply(name, tmp_path):
    """What `load` compares a file with, before it builds a network, is what the network has."""
    G = NETWORKS[name]("numpy")
    expected = {p.name: p.shape for p in inv.get_params(G)}
    kind, arguments = described(G)
    assert {p.name: p.shape for p in parameter_shapes(kind, arguments)} == expected
    inv.save(G, tmp_path / "w")
    H = inv.load(tmp_path / "w", engine="numpy")
    assert repr(H) == repr(G)
    for name, value in G.state_dict().items():
        np.testing.assert_array_equal(H.state_dict()[name], value)


def test_every_network_has_shapes():
    """A network that does not say its `shapes` is built before its file is compared."""
    for name, kind in kinds().items():
        own = kind.__module__.startswith("pyinvnets.")
        with contextlib.suppress(TypeError, ValueError):
            assert not own or parameter_shapes(kind, {}) is not None, name


def described(value):
    """A network as a pair of its class and arguments."""
    if isinstance(value, (list, tuple)):
        return [described(item) for item in value]
    if not hasattr(value, "state_dict"):
        return value
    return type(value), {name: described(item) for name, item in value.arguments.items()}


class TestPlaces:
    def test_permissions_stay(self, G, tmp_path):
        path = tmp_path / "w"
        inv.save(G, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask()
        path.chmod(0o600)
        inv.save(G, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_symbolic_link_is_followed(self, G, tmp_path):
        (tmp_path / "far").mkdir()
        link, target = tmp_path / "link", tmp_path / "far" / "w"
        link.symlink_to(target)
        for _ in range(2):
            inv.save(G, link)
            assert link.is_symlink() and repr(inv.load(target, engine="numpy")) == repr(inv.load(link, engine="numpy"))
        assert os.listdir(tmp_path / "far") == ["w"]

    def test_the_disk_has_it_before_the_name_has(self, tmp_path, monkeypatch):
        calls = []
        fsync, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync") or fsync(descriptor))
        monkeypatch.setattr(os, "replace", lambda *names: calls.append("replace") or replace(*names))
        inv.save(inv.ActNorm(2, engine="numpy"), tmp_path / "w")
        assert calls == ["fsync", "replace", "fsync"]

    def test_what_a_killed_process_left_is_removed(self, tmp_path):
        path = tmp_path / "w"
        code = (
            "import os, pyinvnets.storage.files as files\n"
            f"with files.replaced({str(path)!r}):\n"
            "    os.kill(os.getpid(), 9)"
        )
        run_python(code)
        (left,) = tmp_path.iterdir()
        inv.save(inv.ActNorm(2, engine="numpy"), path)
        assert left.exists()  # another process may have made it just now
        os.utime(left, (0, 0))
        with open(left) as writer:
            fcntl.flock(writer, fcntl.LOCK_EX)
            inv.save(inv.ActNorm(2, engine="numpy"), path)
            assert left.exists()
        (tmp_path / ".w-notes").touch()
        os.utime(tmp_path / ".w-notes", (0, 0))
        inv.save(inv.ActNorm(2, engine="numpy"), path)
        assert sorted(os.listdir(tmp_path)) == [".w-notes", "w"]

    def test_an_interrupt_keeps_the_old_file(self, G, tmp_path, monkeypatch):
        path = tmp_path / "w"
        inv.save(G, path)
        before = path.read_bytes()

        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(np, "ascontiguousarray", interrupted)
        with pytest.raises(KeyboardInterrupt):
            inv.save(G, path)
        assert path.read_bytes() == before and os.listdir(tmp_path) == ["w"]

    def test_a_full_disk(self, G, tmp_path):
        """The system's own error with the name of the file, and the old file whole."""
        path = tmp_path / "w"
        inv.save(G, path)
        before = path.read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            with pytest.raises(OSError, match=re.escape(os.strerror(errno.EFBIG))) as full:
                inv.save(G, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert full.value.errno == errno.EFBIG and full.value.filename == str(path)
        assert path.read_bytes() == before and os.listdir(tmp_path) == ["w"]


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_kind_that_is_expected(tmp_path):
    path = tmp_path / "weights"
    inv.save(inv.NetworkGlow(2, 4, 1, 1, engine="numpy"), path)
    assert isinstance(inv.load(path, kind=inv.NetworkGlow, engine="numpy"), inv.NetworkGlow)
    with pytest.raises(TypeError, match=r"holds NetworkGlow\(.*; expected kind=NetworkHyperbolic"):
        inv.load(path, kind=inv.NetworkHyperbolic, engine="numpy")
