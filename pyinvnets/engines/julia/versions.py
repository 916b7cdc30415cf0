"""What pyinvnets was tried with. Other versions that `juliapkg.json` and `pyproject.toml` admit may work as well."""

from __future__ import annotations

import re

TRIED = {
    "Julia": ("1.10.8",),
    "juliacall": ("0.9.34", "0.9.37"),
    "InvertibleNetworks": ("2.3.1",),
    "JOLI": ("0.9.0",),
    "Flux": ("0.14.25",),
    "NNlib": ("0.9.36",),
    "CUDA": ("5.9.5",),
    "cuDNN": ("1.4.6",),
}


def remark(name: str, version: str) -> str:
    """What to say behind a version that was not tried; nothing behind one that was."""
    tried = TRIED.get(name, (version,))
    return "" if version in tried else f"; tried with {' and '.join(tried)}"


def is_tried_julia(version: str) -> bool:
    """Whether it is of a minor version that was tried; Julia's patches change nothing that packages rely on."""
    minor = re.match(r"\d+\.\d+\.", version)
    return minor is not None and any(tried.startswith(minor[0]) for tried in TRIED["Julia"])
