"""What MkDocs asks while it builds the site: pages made from the package, the examples and the files beside `docs`.

Everything comes from this checkout, and nothing from the internet. Links of pages to files of the checkout lead to a
copy of the file in the site.
"""

from __future__ import annotations

import os
import posixpath
import re
from html import unescape
from pathlib import Path

import checkout
import families
import notebooks
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import pyinvnets as inv

THUMBNAILS = {"tomography": 3, "tutorial": 8}
"""Which figure of a notebook stands for it; of another one the last does."""

_PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")
_MATHS = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_TAG = re.compile(r"\\tag\{(\d+)\}")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    inv.use_engine("numpy")
    made: dict[str, str | bytes] = {}
    pages = {file.src_uri: Path(file.abs_src_path).read_text(encoding="utf-8") for file in files.documentation_pages()}
    sources = {uri: f"docs/{uri}" for uri in pages}

    for name, uri in (("CHANGELOG.md", "changelog.md"), ("CONTRIBUTING.md", "contributing.md")):
        pages[uri], sources[uri] = (checkout.ROOT / name).read_text(encoding="utf-8"), name

    pages["networks/index.md"] = pages["networks/index.md"].replace("<!-- kinds -->", families.overview())
    for family, names in families.pages().items():
        uri = f"networks/{family}.md"
        pages[uri] = "\n\n".join([pages.get(uri, f"# {family}"), *map(families.section, names)])
        made |= {f"networks/diagrams/{name}.svg": families.diagram(name).svg(name) for name in names}

    cards = []
    for path in sorted((checkout.ROOT / "examples").glob("*.ipynb")):
        uri = f"gallery/{path.stem}.md"
        pages[uri], figures = notebooks.page(path)
        sources[uri] = f"examples/{path.name}"
        made |= {f"gallery/{name}": content for name, content in figures.items()}
        cards.append(_card(path, list(figures)))
    pages["gallery/index.md"] = pages["gallery/index.md"].replace("<!-- notebooks -->", "\n".join(cards))

    listed: set[str] = set()
    for uri, text in pages.items():
        base = posixpath.dirname(sources.get(uri, f"docs/{uri}"))
        made[uri] = _LINK.sub(lambda link, uri=uri, base=base: _to_site(link, uri, base, listed), text)
    made |= {f"files/{path}.md": _listing(path) for path in sorted(listed)}

    for uri, content in made.items():
        if uri in files.src_uris:
            files.remove(files.src_uris[uri])
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which browsers draw themselves."""
    return _MATHS.sub(_mathml, html)


def _card(path: Path, figures: list[str]) -> str:
    shown = figures[min(THUMBNAILS.get(path.stem, len(figures)), len(figures)) - 1]
    title, opening = notebooks.title(path), notebooks.opening(path)
    return f"-   [![]({shown}){{ .thumbnail }}]({path.stem}.md)\n\n    **[{title}]({path.stem}.md)**\n\n    {opening}\n"


def _to_site(link: re.Match, uri: str, base: str, listed: set[str]) -> str:
    """A link to a file of the checkout, as one within the site; `listed` gets what needs a page of its own."""
    path = posixpath.normpath(posixpath.join(base, link[2]))
    if not (checkout.ROOT / path).is_file():
        return link[0]
    if path.startswith("docs/"):
        target = path.removeprefix("docs/")
    elif path.endswith(".ipynb"):
        target = f"gallery/{Path(path).stem}.md"
    elif path in _PAGES:
        target = _PAGES[path]
    else:
        target = f"files/{path}.md"
        listed.add(path)
    return "](" + os.path.relpath(target, posixpath.dirname(uri) or ".") + (link[3] or "")


def _listing(path: str) -> str:
    language = {".py": "python", ".md": "markdown"}.get(Path(path).suffix, "text")
    text = (checkout.ROOT / path).read_text(encoding="utf-8")
    return f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n````{language}\n{text}\n````\n"


def _mathml(found: re.Match) -> str:
    block = found[1] == "div"
    tag = _TAG.search(found[3])
    formula = convert(unescape(_TAG.sub("", found[3])), display="block" if block else "inline")
    if not block:
        return formula
    number = f'<span class="number">({tag[1]})</span>' if tag else ""
    return f'<div class="formula">{formula}{number}</div>'
