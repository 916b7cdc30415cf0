"""The golden files: a few are packaged for `validate`, the others are here."""

from __future__ import annotations

from pathlib import Path

from pyinvnets.validation import golden

FOLDER = Path(__file__).parents[1] / "golden"
NAMES = {path.stem for folder in (FOLDER, golden.FOLDER) for path in folder.glob("*.npz")}


def Golden(name: str) -> golden.Golden:
    here = (FOLDER / f"{name}.npz").is_file()
    return golden.Golden(name, FOLDER if here else golden.FOLDER)
