"""Every golden case against InvertibleNetworks.jl's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from helpers.golden_files import NAMES, Golden
from pyinvnets.validation.cases import as_tuple
from pyinvnets.validation.golden import CASES, OTHER_FILES, arguments, initial_state, residuals

BOUNDS = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 2e-4}


def lazy_parameters(golden: Golden) -> dict[str, np.ndarray]:
    """ActNorm's, which the first batch sets."""
    return {key: a for key, a in golden.group("param").items() if key not in golden.group("init")}


def loaded(name: str, golden: Golden, engine: str):
    """The case's network before its first `forward`."""
    network = CASES[name](engine=engine).astype(golden["in/0"].dtype)
    network.load_state_dict(initial_state(name, golden))
    return network


def test_every_file_is_a_case():
    assert set(CASES) | OTHER_FILES == NAMES


@pytest.mark.parametrize("name", CASES)
def test_case(name, engine):
    golden = Golden(name)
    bound = BOUNDS[golden["in/0"].dtype]
    network = loaded(name, golden, engine)
    assert [p.name for p in inv.get_params(network)] == golden.meta["parameters"]

    inputs, outputs = golden.series("in"), golden.series("out")
    results = as_tuple(network.forward(*inputs))
    assert len(results) == len(outputs)
    for i, (got, expected) in enumerate(zip(results, outputs, strict=True)):
        assert_close(got, expected, bound, f"forward, result {i}")
        assert isinstance(got, float) == (expected.ndim == 0)
    for key, expected in (initial_state(name, golden) | lazy_parameters(golden)).items():
        assert_close(inv.named_params(network)[key].data, expected, bound, f"parameter {key} after forward")

    for_inverse, for_backward = arguments(name, golden)
    if golden.series("inverse"):
        got = as_tuple(network.inverse(*for_inverse))
        for i, expected in enumerate(golden.series("inverse")):
            assert_close(got[i], expected, bound, f"inverse, result {i}")

    if not golden.series("cotangent"):
        pytest.skip(f"{name}: upstream's Conv1x1 has no backward of its own; test_conv1x1_backward covers it")
    got = as_tuple(network.backward(*residuals(name, golden), *for_backward))
    expected = golden.series("backward")
    assert len(got) == len(expected)
    for i, array in enumerate(expected):
        assert_close(got[i], array, bound, f"backward, result {i}")
    gradients = golden.group("grad")
    assert set(gradients) == {p.name for p in inv.get_params(network)}
    for p in inv.get_params(network):
        assert_close(p.grad, gradients[p.name], bound, f"gradient of {p.name}")


def test_conv1x1_backward(engine):
    """A coupling layer's backward reaches its Conv1x1 alone at the end; the golden coupling holds that gradient."""
    golden = Golden("coupling_glow")
    coupling = loaded("coupling_glow", golden, engine)
    conv = inv.Conv1x1(4, engine=engine).astype(np.float64)
    conv.load_state_dict({k.removeprefix("C."): v for k, v in golden.group("init").items() if k.startswith("C.")})
    Y = conv.forward(golden["in/0"])
    coupling.forward(golden["in/0"])
    dX, _X = coupling.backward(golden["cotangent/0"], golden["out/0"])
    # The gradient at the Conv1x1's output is the rotated gradient at its input.
    dY = conv.forward(np.asfortranarray(dX))
    dX_, X_ = conv.backward(dY, Y)
    assert_close(dX_, golden["backward/0"], 1e-10, "gradient of the input")
    assert_close(X_, golden["in/0"], 1e-10, "the input recomputed")
    for name in ("v1", "v2", "v3"):
        assert_close(inv.named_params(conv)[name].grad, golden[f"grad/C.{name}"], 1e-10, name)


def test_init_from_the_first_batch(engine):
    golden = Golden("glow_image")
    network = loaded("glow_image", golden, engine)
    assert all(p.data is None for p in inv.get_params(network) if p.name.startswith("AN"))
    network.forward(golden["in/0"])
    for key, expected in golden.group("param").items():
        assert_close(inv.named_params(network)[key].data, expected, 1e-10, key)
