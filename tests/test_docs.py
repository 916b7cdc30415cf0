"""The documentation against the package: examples run, tables are complete, the site builds without a warning."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import traceback
from itertools import groupby
from pathlib import Path

import pytest

import pyinvnets as inv
from pyinvnets.engines import choice
from pyinvnets.engines.numpy.networks import glow

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"(<!-- not run: .+ -->\n)?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEEDS = {
    "many_machines": "h5py",
    "pytorch": "torch",
    "scikit_learn": "sklearn",
    "posteriors": "sklearn",
    "inverse_problems": "scipy",
    "jacobian": "scipy",
}
SILENCE = "arrays/quiet.py"
"""Calls what it is given and keeps NumPy from warning; CONTRIBUTING.md names it beside the way."""

EXPORTS = """
ActNorm AffineLayer CouplingLayerBasic CouplingLayerBasic3D Conv1x1 CouplingLayerGlow CouplingLayerGlow3D
CouplingLayerHINT CouplingLayerHINT3D HyperbolicLayer HyperbolicLayer3D CouplingLayerIRIM CouplingLayerIRIM3D
FluxBlock ResidualBlock ResidualBlock3D ResNet ConditionalLayerGlow ConditionalLayerGlow3D ConditionalLayerHINT
ConditionalLayerHINT3D ConditionalResidualBlock NetworkConditionalGlow NetworkConditionalGlow3D NetworkConditionalHINT
NetworkConditionalHINT3D NetworkMultiScaleConditionalHINT NetworkMultiScaleConditionalHINT3D NetworkGlow NetworkGlow3D
NetworkMultiScaleHINT NetworkMultiScaleHINT3D NetworkHyperbolic NetworkHyperbolic3D NetworkLoop NetworkLoop3D
SummarizedNet ReLU ReLUgrad LeakyReLU LeakyReLUinv LeakyReLUgrad Sigmoid SigmoidInv SigmoidGrad GaLU GaLUgrad ExpClamp
ExpClampInv ExpClampGrad ReLUlayer LeakyReLUlayer SigmoidLayer Sigmoid2Layer GaLUlayer ExpClampLayer logdetjac
getrrule GLOBAL_STATE_INVOPS convert_cu cuzeros cuones array_of_array chain_lr squeeze unsqueeze wavelet_squeeze
wavelet_unsqueeze Haar_squeeze invHaar_unsqueeze tensor_split tensor_cat cat_states split_states ShuffleLayer
WaveletLayer HaarLayer ComposedInvertibleNetwork Composition Jacobian NeuralNetLayer InvertibleNetwork ReverseLayer
ReverseNetwork get_grads log_likelihood ∇log_likelihood Hlog_likelihood mse ∇mse Hmse Parameter get_params set_params!
par2vec vec2par sample_banana sample_swirl clear_grad! glorot_uniform reset!
"""
"""Those of InvertibleNetworks.jl at the commit that juliapkg.json names: `git grep export -- src`."""


@pytest.fixture(scope="module")
def families():
    sys.path.insert(0, str(DOCS / "generate"))
    yield importlib.import_module("families")
    sys.path.remove(str(DOCS / "generate"))


def blocks(page):
    return [code for unfit, code in BLOCK.findall(page.read_text(encoding="utf-8")) if not unfit]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_examples_run(page, tmp_path, monkeypatch):
    """The blocks of a page one after the other, as a reader would paste them."""
    import matplotlib.pyplot as plt

    pytest.importorskip(NEEDS.get(page.stem, "numpy"))
    plt.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(choice, "_chosen", "numpy")
    names: dict[str, object] = {}
    for code in blocks(page):
        exec(compile(code, str(page), "exec"), names)
    plt.close("all")


@pytest.mark.slow
def test_the_site_builds(tmp_path):
    """With warnings as errors: dead links, anchors and references among them. It asks nothing of other hosts."""
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")
    }
    fetched = r"<(?:script|img)[^>]* src=\"?https?:|<link[^>]* rel=\"?(?:stylesheet|preconnect)[^>]* href=\"?https?:"
    assert not [name for name, text in pages.items() if re.search(fetched, text)]
    assert {f"gallery/{path.stem}.html" for path in (ROOT / "examples").glob("*.ipynb")} <= set(pages)
    assert "<math" in pages["gallery/tutorial.html"] and "arithmatex" not in pages["gallery/tutorial.html"]


def test_every_public_name_is_in_the_reference(families):
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"^::: pyinvnets\.(\w+)$", text, re.MULTILINE)) | set(families.kinds())
    assert named >= set(inv.__all__) - {"__version__"}


@pytest.mark.parametrize("module", ["diagnostics", "inverse_problems", "plotting", "torch"])
def test_every_function_is_in_the_reference(module):
    pytest.importorskip(NEEDS["pytorch"] if module == "torch" else "numpy")
    module = importlib.import_module(f"pyinvnets.{module}")
    text = (DOCS / "api" / f"{module.__name__.rpartition('.')[2]}.md").read_text(encoding="utf-8")
    functions = {name for name in module.__all__ if callable(getattr(module, name))}
    assert set(re.findall(rf"^::: {module.__name__}\.(\w+)$", text, re.MULTILINE)) == functions


def test_every_kind_is_on_a_page(families):
    public = {
        name for name in inv.__all__ if isinstance(kind := getattr(inv, name), type) and hasattr(kind, "upstream")
    }
    listed = [name for names in families.pages().values() for name in names]
    assert sorted(listed) == sorted(public | {"reverse"})
    for name in listed:
        assert "→" in families.small_forward(name) or name == "FluxBlock"
        assert families.purpose(name).rstrip(")").endswith(".")
        assert name in families.diagram(name).svg(name)


def test_every_diagram_is_of_something(families):
    drawn = importlib.import_module("diagrams").DIAGRAMS
    assert set(drawn) <= set(families.kinds())
    for name, diagram in drawn.items():
        assert {text for pair in diagram.pairs() for text in pair} == set(diagram.boxes), name


@pytest.mark.parametrize("name", ["NetworkConditionalGlow", "NetworkMultiScaleHINT", "HyperbolicLayer"])
def test_upstreams_limits_are_named(families, name):
    assert "NumPy engine only" in families.engines(name)


def test_every_name_of_upstream_is_in_the_table():
    text = (DOCS / "julia.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.partition("## Every exported name")[2].splitlines() if line[:3] == "| `"]
    upstream = [name for row in rows for name in re.findall(r"`(.+?)`", row[0])]
    assert sorted(upstream) == sorted(EXPORTS.split())
    assert all(any(cell.strip(" |") for cell in row[1:]) for row in rows), "what has no name here is explained"
    for row in rows:
        for name in re.findall(r"`inv\.(.+?)`", row[1]):
            if name.startswith("torch"):
                pytest.importorskip("torch")
            found = inv
            for part in name.split("."):
                found = getattr(found, part)


def test_links_of_the_readme():
    """Files of this repository, that are there, or addresses in full, which work wherever it is shown."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", text)
    for target in (a or b for a, b in targets):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


@pytest.mark.parametrize(("call", "files"), [("forward", 4), ("log_prob", 5)])
def test_the_way_of_an_array(monkeypatch, call, files):
    """CONTRIBUTING.md lists the files between the user's line and the arithmetic, one after the other."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(rf"^From `G\.{call}\(X\)`.*?\n\n(.*?)\n\n", text, flags=re.M | re.S).group(1)
    walk = re.findall(r"^\d\. `(\S+)`", section, flags=re.M)

    X = inv.sample_banana(10, engine="numpy", seed=1)
    G = inv.NetworkGlow(2, 4, 1, 1, engine="numpy", seed=1)
    G.forward(X)
    passed = []
    arithmetic = glow.NetworkGlow.forward

    def noting(self, *arrays, **given):
        passed.extend(Path(frame.filename) for frame in traceback.extract_stack())
        return arithmetic(self, *arrays, **given)

    monkeypatch.setattr(glow.NetworkGlow, "forward", noting)
    getattr(G, call)(X)
    package = Path(inv.__file__).parent
    on_the_way = [str(path.relative_to(package)) for path in passed if path.is_relative_to(package)]
    on_the_way = [name for name in on_the_way if name != SILENCE]
    assert [name for name, _ in groupby(on_the_way)] == walk[:-1]
    assert walk[-1] == "engines/numpy/networks/glow.py" and len(walk) == files
