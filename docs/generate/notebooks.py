"""Executed notebooks as pages of Markdown, and their figures; nothing is run."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def title(path: Path) -> str:
    first = nbformat.read(path, as_version=4).cells[0].source
    return first.splitlines()[0].removeprefix("# ")


def opening(path: Path) -> str:
    """The first paragraph."""
    return nbformat.read(path, as_version=4).cells[0].source.split("\n\n")[1].replace("\n", " ")


def page(path: Path) -> tuple[str, dict[str, bytes]]:
    """The notebook's Markdown, and its figures by the names that it has for them."""
    figures: dict[str, bytes] = {}
    parts = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            parts += _shown(output, figures, path.stem)
    parts.insert(1, f"*This page is [{path.name}](../examples/{path.name}) as it ran; open that to try it.*")
    return "\n\n".join(parts) + "\n", figures


def _shown(output: nbformat.NotebookNode, figures: dict[str, bytes], stem: str) -> list[str]:
    if output.output_type == "stream":
        return [_text(output.text)]
    data = output.get("data", {})
    if "image/png" in data:
        name = f"{stem}-{len(figures) + 1}.png"
        figures[name] = base64.b64decode(data["image/png"])
        return [f"![Figure {len(figures)}]({name})"]
    return [_text(data["text/plain"])] if "text/plain" in data else []


def _text(text: str) -> str:
    return f"```text\n{_ESCAPES.sub('', text).rstrip()}\n```"
