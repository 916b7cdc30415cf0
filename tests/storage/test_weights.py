"""Weights on disk."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import pyinvnets as inv


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


def test_saving_over_a_file_keeps_it_until_the_new_one_is_whole(G, tmp_path, monkeypatch):
    import safetensors.numpy

    path = tmp_path / "w"
    inv.save(G, path)
    content = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        inv.save(G, path)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


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
