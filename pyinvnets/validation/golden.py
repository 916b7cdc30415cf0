"""The golden cases: what InvertibleNetworks.jl computed, and how to make the same network here.

One table drives the tests of both engines. `tests/golden/README.md` says what each file holds; those of `vectors` are
packaged, for `python -m pyinvnets validate` without Julia.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import pyinvnets as inv

FOLDER = Path(__file__).parent / "vectors"
"""The golden files that the package brings: one of each kind of network."""

CASES = {
    "actnorm": lambda **kw: inv.ActNorm(4, logdet=True, **kw),
    "actnorm_3d": lambda **kw: inv.ActNorm(3, logdet=True, **kw),
    "conv1x1": lambda **kw: inv.Conv1x1(4, **kw),
    "residual_block": lambda **kw: inv.ResidualBlock(3, 5, n_out=6, k1=3, k2=1, p1=1, p2=0, fan=True, **kw),
    "residual_block_galu": lambda **kw: inv.ResidualBlock(3, 5, **kw),
    "coupling_glow": lambda **kw: inv.CouplingLayerGlow(4, 8, logdet=True, **kw),
    "coupling_glow_3d": lambda **kw: inv.CouplingLayerGlow(4, 6, logdet=True, ndims=3, **kw),
    "coupling_glow_dense": lambda **kw: inv.CouplingLayerGlow(4, 3, nx=6, dense=True, logdet=True, **kw),
    "coupling_glow_freeze": lambda **kw: inv.CouplingLayerGlow(4, 8, logdet=True, freeze_conv=True, **kw),
    "coupling_glow_lowhigh": lambda **kw: inv.CouplingLayerGlow(
        4, 8, logdet=True, activation=inv.SigmoidLayer(low=0.5, high=1.0), **kw
    ),
    "coupling_glow_odd": lambda **kw: inv.CouplingLayerGlow(5, 8, logdet=True, **kw),
    "coupling_glow_stride": lambda **kw: inv.CouplingLayerGlow(4, 8, k1=4, p1=0, s1=4, k2=1, p2=0, logdet=True, **kw),
    "glow_1channel": lambda **kw: inv.NetworkGlow(1, 8, 2, 2, **kw),
    "glow_1d": lambda **kw: inv.NetworkGlow(2, 8, 1, 2, ndims=1, **kw),
    "glow_3d_split": lambda **kw: inv.NetworkGlow(2, 6, 2, 2, split_scales=True, ndims=3, **kw),
    "glow_dense": lambda **kw: inv.NetworkGlow(2, 4, 1, 3, nx=4, dense=True, **kw),
    "glow_image": lambda **kw: inv.NetworkGlow(3, 8, 2, 2, **kw),
    "glow_image_nologdet": lambda **kw: inv.NetworkGlow(3, 8, 2, 2, logdet=False, **kw),
    "glow_image_split": lambda **kw: inv.NetworkGlow(3, 8, 2, 2, split_scales=True, **kw),
    "glow_image_split_L1": lambda **kw: inv.NetworkGlow(3, 8, 1, 2, split_scales=True, **kw),
    "glow_image_split_L3": lambda **kw: inv.NetworkGlow(2, 8, 3, 2, split_scales=True, **kw),
    "glow_image_split_haar": lambda **kw: inv.NetworkGlow(
        3, 8, 2, 2, split_scales=True, squeezer=inv.HaarLayer(), **kw
    ),
    "glow_image_split_wavelet": lambda **kw: inv.NetworkGlow(
        3, 8, 2, 2, split_scales=True, squeezer=inv.WaveletLayer(), **kw
    ),
    "glow_sigmoid2": lambda **kw: inv.NetworkGlow(4, 8, 1, 3, activation=inv.Sigmoid2Layer(), **kw),
    "glow_tutorial": lambda **kw: inv.NetworkGlow(2, 16, 1, 10, **kw),
    "glow_tutorial_f32": lambda **kw: inv.NetworkGlow(2, 16, 1, 10, **kw),
    "affine_layer": lambda **kw: inv.AffineLayer(6, 5, 4, logdet=True, **kw),
    "conditional_glow": lambda **kw: inv.NetworkConditionalGlow(3, 2, 8, 2, 2, **kw),
    "conditional_glow_1d_gaussian": lambda **kw: inv.NetworkConditionalGlow(
        2, 1, 16, 1, 4, k1=1, k2=1, p1=0, p2=0, **kw
    ),
    "conditional_glow_split": lambda **kw: inv.NetworkConditionalGlow(3, 2, 8, 2, 2, split_scales=True, **kw),
    "conditional_hint": lambda **kw: inv.NetworkConditionalHINT(8, 6, 3, **kw),
    "conditional_layer_glow": lambda **kw: inv.ConditionalLayerGlow(4, 3, 8, logdet=True, **kw),
    "conditional_layer_hint": lambda **kw: inv.ConditionalLayerHINT(8, 6, **kw),
    "conditional_residual_block": lambda **kw: inv.ConditionalResidualBlock(6, 5, 3, 8, 4, 2, 7, 2, **kw),
    "coupling_basic": lambda **kw: inv.CouplingLayerBasic(3, 6, logdet=True, **kw),
    "coupling_hint_both": lambda **kw: inv.CouplingLayerHINT(8, 6, logdet=True, permute="both", **kw),
    "coupling_hint_full": lambda **kw: inv.CouplingLayerHINT(8, 6, logdet=True, permute="full", **kw),
    "coupling_hint_lower": lambda **kw: inv.CouplingLayerHINT(8, 6, logdet=True, permute="lower", **kw),
    "coupling_hint_none": lambda **kw: inv.CouplingLayerHINT(8, 6, logdet=True, **kw),
    "coupling_irim": lambda **kw: inv.CouplingLayerIRIM(4, 8, **kw),
    "hyperbolic_layer": lambda **kw: inv.HyperbolicLayer(4, 3, 1, 1, action=0, alpha=0.2, **kw),
    "hyperbolic_layer_down": lambda **kw: inv.HyperbolicLayer(4, 3, 1, 1, action=-1, alpha=0.2, **kw),
    "hyperbolic_layer_up": lambda **kw: inv.HyperbolicLayer(4, 3, 1, 1, action=1, alpha=0.2, **kw),
    "hyperbolic_network": lambda **kw: inv.NetworkHyperbolic(4, ((-1, 8), (0, 8), (1, 4)), **kw),
    "multiscale_conditional_hint": lambda **kw: inv.NetworkMultiScaleConditionalHINT(2, 6, 2, 2, **kw),
    "multiscale_conditional_hint_split": lambda **kw: inv.NetworkMultiScaleConditionalHINT(
        2, 6, 2, 2, split_scales=True, **kw
    ),
    "multiscale_hint": lambda **kw: inv.NetworkMultiScaleHINT(2, 6, 2, 2, **kw),
    "reverse_actnorm": lambda **kw: inv.reverse(inv.ActNorm(4, logdet=True, **kw)),
    "reverse_glow_coupling": lambda **kw: inv.reverse(inv.CouplingLayerBasic(3, 6, logdet=True, **kw)),
}

OTHER_FILES = {"utilities", "distributions", "tutorial_run_f4", "tutorial_run_f8", "jacobian_glow"}
"""Files with a test of their own."""


def arguments(name: str, golden: Golden) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What upstream's `inverse` and `backward` were called with, after the residuals."""
    inputs, latents = golden.series("in"), [out for out in golden.series("out") if out.ndim]
    if "residual_block" in name:
        return [], inputs
    if name == "conditional_layer_glow":
        return [latents[0], inputs[1]], [latents[0], inputs[1]]
    return latents, latents


def residuals(name: str, golden: Golden) -> list[np.ndarray]:
    """The conditional GLOW networks take none for the condition, though the files hold one."""
    return golden.series("cotangent")[: 1 if name.startswith("conditional_glow") else None]


class Golden:
    """One file: `meta`, and its arrays by key, in Julia's memory order."""

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        with np.load(folder / f"{name}.npz") as file:
            self._arrays = {key: np.array(file[key], order="F") for key in file.files if key != "meta"}
            self.meta = json.loads(str(file["meta"]))

    def __getitem__(self, key: str) -> np.ndarray:
        return self._arrays[key]

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays under `prefix/`, by the rest of their key."""
        start = len(prefix) + 1
        return {key[start:]: a for key, a in self._arrays.items() if key.startswith(prefix + "/")}

    def series(self, prefix: str) -> list[np.ndarray]:
        group = self.group(prefix)
        return [group[str(i)] for i in range(len(group))]


def initial_state(name: str, golden: Golden) -> dict[str, np.ndarray]:
    """The parameters that upstream computed with, before the first `forward`.

    The files of the dense cases record biases that were assigned to `p.data`; upstream's `FluxBlock` computes with
    the arrays of its Flux model, which were never assigned and still hold their initial zeros.
    """
    state = golden.group("init")
    if name.endswith("dense"):
        state |= {key: 0 * a for key, a in state.items() if ".RB.params" in f".{key}" and a.ndim == 1}
    return state
