"""`G.summary(input_shape)` against what `forward` really does."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pyinvnets as inv
from pyinvnets.validation.cases import CASES, as_tuple


def untouched(name, engine):
    """A network of this case that was never used, and its summary."""
    case = CASES[name]
    network = case.make(engine=engine, seed=3)
    return network, network.summary(case.shapes[0])


@pytest.mark.parametrize("name", CASES)
class TestEveryNetwork:
    def test_last_row_is_the_latent(self, name, engine):
        case = CASES[name]
        network, summary = untouched(name, engine)
        inputs = [array.astype(np.float32) for array in case.inputs()]
        extra = [array.astype(np.float32) for array in case.extra()]
        outputs = [z for z in as_tuple(network.forward(*inputs, *extra)) if isinstance(z, np.ndarray)]
        last = summary.rows[-1]
        if isinstance(network, inv.NetworkLoop):
            assert last.shape == np.concatenate(outputs, axis=-2).shape
        else:
            assert last.shape == outputs[0].shape
            by_lane = last.name == "AN_X[1]"
            together = network.signature.invertible and not by_lane
            assert last.arrays == (len(network.signature.latents) if together else 1)
        assert [row.shape for row in summary.rows if row.layer == "input"] == list(case.shapes)

    def test_every_parameter_is_counted_once(self, name, engine):
        network, summary = untouched(name, engine)
        total = sum(math.prod(p.shape) for p in inv.get_params(network))
        assert summary.parameters == total == sum(row.parameters for row in summary.rows)
        assert summary.memory == 4 * total == sum(row.memory for row in summary.rows)

    def test_the_network_is_unchanged(self, name, engine):
        network, _ = untouched(name, engine)
        before = CASES[name].make(engine=engine, seed=3)
        assert network.spatial is None
        assert network.state_dict().keys() == before.state_dict().keys()
        for key, value in before.state_dict().items():
            np.testing.assert_array_equal(network.state_dict()[key], value)


class Recorded:
    """A layer of the NumPy engine that notes the shapes it gives, under its name."""

    def __init__(self, layer, name, seen):
        self.layer, self.name, self.seen = layer, name, seen

    def __getattr__(self, method):
        def call(*arrays):
            results = getattr(self.layer, method)(*arrays)
            first = as_tuple(results)[0]
            self.seen.append((self.name, (*first.shape[:1:-1], *first.shape[:2])))
            return results

        return call


@pytest.mark.parametrize(
    "name",
    [
        "NetworkGlow",
        "NetworkGlow, split",
        "NetworkGlow, dense",
        "NetworkConditionalGlow, split",
        "NetworkMultiScaleHINT",
        "NetworkMultiScaleHINT, split",
        "NetworkMultiScaleHINT, 3-D",
        "NetworkMultiScaleConditionalHINT, split",
        "NetworkConditionalHINT",
        "NetworkHyperbolic",
        "NetworkLoop, additive",
    ],
)
def test_every_row_is_what_its_layer_gives(name):
    """Row by row, in order, against a `forward` whose layers tell what they give."""
    case = CASES[name]
    network, summary = untouched(name, "numpy")
    inner, seen = network.model.layer, []
    for field in inner.fields:
        value = getattr(inner, field)
        if isinstance(value, dict):
            wrapped = {k: Recorded(v, f"{field}[{','.join(map(str, k))}]", seen) for k, v in value.items()}
        elif isinstance(value, list):
            wrapped = [Recorded(v, f"{field}[{i}]", seen) for i, v in enumerate(value, 1)]
        else:
            wrapped = Recorded(value, field, seen)
        setattr(inner, field, wrapped)
    _wrap_steps(inner)
    network.forward(*(a.astype(np.float32) for a in (*case.inputs(), *case.extra())))
    assert [(row.name, row.shape) for row in summary.rows if row.parameters] == seen


def _wrap_steps(inner):
    """Networks of HINT run their layers by steps, which hold them too."""
    rows = getattr(inner, "steps", [])
    for i, row in enumerate(rows):
        for j, step in enumerate(row if isinstance(row, list) else [row]):
            index = (i + 1, j + 1) if isinstance(row, list) else i
            for field in inner.fields:
                setattr(step, field, getattr(inner, field)[index])


def test_actnorm_stays_uninitialised(engine):
    G = inv.NetworkGlow(2, 4, 1, 1, engine=engine)
    G.summary((1, 1, 2, 10))
    assert inv.named_params(G)["AN[1,1].s"].data is None
    with pytest.raises(ValueError, match="not initialised"):
        G.inverse(np.zeros((1, 1, 2, 10), np.float32, order="F"))


def test_memory_does_not_grow_with_depth_but_with_samples_and_dtype():
    def states(K, samples, dtype=np.float32):
        return inv.NetworkGlow(3, 8, 1, K, engine="numpy").astype(dtype).summary((16, 16, 3, samples)).states

    assert states(1, 2) == states(12, 2) == 4 * 16 * 16 * 3 * 2 * 4
    assert states(1, 4) == states(1, 2, np.float64) == 2 * states(1, 2)


def test_states_of_two_arrays():
    block = inv.ResidualBlock(1, 4, n_out=3, fan=True, engine="numpy")
    assert block.summary((4, 4, 1, 2)).states == 2 * (16 * 2 + 16 * 3 * 2) * 4
    layer = inv.ConditionalLayerGlow(2, 3, 4, engine="numpy")
    assert layer.summary((4, 4, 2, 1)).states == 4 * 16 * (2 + 3) * 4


def test_the_printed_table():
    text = str(inv.NetworkGlow(2, 16, 1, 2, engine="numpy").summary((1, 1, 2, 150)))
    lines = text.splitlines()
    assert lines[0] == 'NetworkGlow(n_in=2, n_hidden=16, L=1, K=2, engine="numpy"), float32'
    names = [line.split()[1] for line in lines[3:8]]
    assert names == ["X", "AN[1,1]", "CL[1,1]", "AN[1,2]", "CL[1,2]"]
    assert max(map(len, lines[1:])) < 80


@pytest.mark.parametrize("shape", [(4, 4, 2), (4, 4, 3, 1), (4, 6, 2, 1), (4, 4, 2, 0), (4, 4, 2, -1)])
def test_shapes_that_forward_refuses(shape):
    G = inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine="numpy")
    with pytest.raises(ValueError, match=r"NetworkGlow\.summary: X must have shape \(nx, ny, .* got shape"):
        G.summary(shape)


@pytest.mark.parametrize("shape", [8, None, "4422", (4, 4, 2.0, 1), np.zeros((4, 4, 2, 1))])
def test_what_is_no_shape(shape):
    G = inv.NetworkGlow(2, 4, 1, 1, engine="numpy")
    with pytest.raises(TypeError, match="input_shape must be the shape of forward's X"):
        G.summary(shape)


def test_a_part_that_does_not_take_what_the_part_before_gives():
    G = inv.Sequential(inv.ActNorm(2, engine="numpy"), inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine="numpy"))
    with pytest.raises(ValueError, match=r"NetworkGlow\.summary: X must have .* multiples of 4"):
        G.summary((6, 6, 2, 1))


def test_a_reversed_multiscale_network():
    """Its input is a flat vector, whose image size has to be known."""
    G = inv.NetworkMultiScaleConditionalHINT(1, 4, 2, 1, split_scales=True, engine="numpy")
    X = np.asfortranarray(np.random.default_rng(0).standard_normal((4, 8, 1, 3)).astype(np.float32))
    Zx, _, _ = G.forward(X, X + 1)
    H = inv.reverse(G)
    H.spatial = (4, 8)
    rows = H.summary(Zx.shape).rows
    assert [row.layer for row in rows[2:4]] == ["split", "ConditionalLayerHINT"]
    assert rows[-1].shape == X.shape and rows[-1].layer == "ShuffleLayer"
    fresh = inv.reverse(inv.NetworkMultiScaleConditionalHINT(1, 4, 2, 1, split_scales=True, engine="numpy"))
    with pytest.raises(ValueError, match="set spatial"):
        fresh.summary(Zx.shape)


@pytest.mark.julia
def test_a_flux_block():
    inv.ActNorm(1, engine="julia")
    from juliacall import Main

    Main.seval("import Flux")
    model = Main.seval("Flux.Chain(Flux.Conv((3, 3), 1 => 3; pad=1))")
    block = inv.FluxBlock(model)
    summary = inv.SummarizedNet(inv.NetworkConditionalGlow(2, 3, 4, 1, 1, engine="julia"), block).summary((4, 4, 2, 1))
    assert [row.shape for row in summary.rows[1:4]] == [None, None, (4, 4, 3, 1)]
    assert summary.rows[2].parameters == 3 * 9 + 3
    assert "as its model gives" in str(summary)
    assert block.summary((4, 4, 1, 1)).states is None


@pytest.mark.parametrize("anchors", ["auto", 1, 2, None])
@pytest.mark.parametrize("name", CASES)
def test_anchors(name, anchors):
    """They are as large as `forward` finds them, in both directions."""
    case = CASES[name]
    network = case.make(engine="numpy", seed=1)
    network.anchors = anchors
    inputs = [array.astype(np.float32) for array in (*case.inputs(), *case.extra())]
    outputs = as_tuple(network.forward(*inputs))
    assert network.summary(case.shapes[0]).anchors == network.model.anchors.size
    if network.signature.invertible and name != "NetworkLoop":
        latents = outputs[: len(network.signature.latents)]
        opposite = inv.reverse(network)
        opposite.forward(*latents, *inputs[len(latents) :])
        assert opposite.summary(latents[0].shape).anchors == opposite.model.anchors.size


def test_anchors_are_shown():
    G = inv.NetworkGlow(1, 8, 2, 6, engine="numpy", seed=1)
    X = np.random.default_rng(0).standard_normal((16, 1, 8, 8), dtype=np.float32).T
    assert "anchors, with a state after every 8 steps: 6.0 KiB" in repr(G.summary(X.shape))
    assert "drift" not in repr(G.summary(X.shape))
    Z, _ = G.forward(X)
    G.backward(Z, Z)
    assert f"drift of states in the last backward: {G.drift:.1g} of their size" in repr(G.summary(X.shape))
    G.anchors = None
    assert "anchors" not in repr(G.summary(X.shape))
