"""The tutorial end to end: learn the banana distribution with GLOW, and write figures, curves and weights.

Source: «Normalizing flows in InvertibleNetworks.jl», Ziyi Yin. Unlike the published text, gradients are cleared after
each update; without that the gradients of `Conv1x1` pile up over the whole run.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import numpy as np

from .. import functions
from ..networks.base.parameters import clear_grad
from ..networks.glow import NetworkGlow
from ..storage.weights import save
from ..training.batches import Batch
from ..training.gradients import NotFinite
from ..training.losses import MaximumLikelihood
from ..training.optimisers import Adam
from ..training.progress import Progress
from ..training.ranks import Alone, ranks_of
from . import places
from .processes import world

N_TRAIN = 60_000

BEST_OBJECTIVE = 1.0
"""The banana's entropy less log(2 pi): what `l2 - lgdet` cannot fall below on average."""


FILES = (
    *(f"{figure}.png" for figure in ("target", "training_log", "latent", "latent_to_data", "generated")),
    *("losses.csv", "weights.safetensors"),
)


def run(
    output: Path | None = None,
    *,
    overwrite: bool = False,
    engine: str | None = None,
    iterations: int = 400,
    seed: int = 1234,
    batch_size: int = 150,
    learning_rate: float = 9e-4,
) -> None:
    """Train, sample, and write everything to a folder, which is made.

    Several processes share the batches, and the first of them does the rest.

    Args:
        output: the folder; `None` is `tutorial-output` or, where that holds files of another run, the next free one.
        overwrite: whether files in the folder may be replaced.

    Raises:
        ValueError: one of the files exists and may not be replaced.
        OSError: one cannot be written.
    """
    ranks = ranks_of(world())
    with ranks.agreed():
        folder = ranks.of_first(lambda: _folder(output, overwrite))
        X_train = functions.sample_banana(N_TRAIN, seed=seed, engine=engine)
        G = NetworkGlow(2, 16, 1, 10, seed=seed, engine=engine)
        if ranks.speaks:
            print(f"Training {G!r} on {N_TRAIN} samples of the banana, {iterations} updates of batch {batch_size}")
        start = time.perf_counter()
        l2, lgdet = train(G, X_train, iterations, batch_size, learning_rate, ranks)
        if ranks.speaks:
            seconds = time.perf_counter() - start
            print(f"Trained in {seconds:.1f} s, {1e3 * seconds / iterations:.2f} ms an update")
            _write(folder, G, X_train, l2, lgdet, seed)


def _write(output: Path, G: NetworkGlow, X_train: np.ndarray, l2: np.ndarray, lgdet: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    Z_test = gaussian(rng, 500)
    X_test = G.inverse(Z_test)
    save(G, output / "weights.safetensors")
    write_curves(output / "losses.csv", l2, lgdet)
    write_figures(output, X_train, l2, lgdet, Z_test, X_test)
    report(G, rng, seed, G.engine)
    print(f"Figures, losses.csv and weights.safetensors are in {output}")


def _folder(asked: Path | None, overwrite: bool) -> Path:
    """The folder, made and seen to be writable."""
    default = Path("tutorial-output")
    taken = not overwrite and any((default / name).exists() for name in FILES)
    folder = asked or (places.beside(default, "") if taken else default)
    folder.mkdir(parents=True, exist_ok=True)
    places.check({}, {f"{name} in --output": folder / name for name in FILES}, overwrite=overwrite)
    return folder


def train(
    G: NetworkGlow,
    X_train: np.ndarray,
    iterations: int,
    batch_size: int,
    learning_rate: float,
    ranks: Alone = Alone(),
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood by Adam, going through the samples in order and round again. Gives the loss curves."""
    l2, lgdet = np.empty(iterations), np.empty(iterations)
    opt, objective = Adam(learning_rate), MaximumLikelihood()
    n_batches = X_train.shape[-1] // batch_size

    def own(first: int) -> Batch:
        return (X_train[..., first : first + batch_size][..., ranks.share(batch_size)],)

    ranks.open(objective, G)
    ranks.initialise(objective, G, own(0))
    with Progress(iterations, shown=ranks.speaks) as progress:
        for j in range(iterations):
            try:
                gradients = ranks.gradients(objective, G, own((j % n_batches) * batch_size))
            except NotFinite as error:
                advice = "give a smaller --learning-rate"
                raise RuntimeError(f"the objective of update {j + 1} is {error}; {advice}") from None
            gradients.apply(opt)
            l2[j], lgdet[j] = (gradients.evaluation.terms[name] for name in objective.terms)
            progress.update(l2[j] - lgdet[j])
            if ranks.speaks and (j + 1) % 50 == 0:
                progress.line(
                    f"Iteration={j + 1}/{iterations}; f l2 = {l2[j]:.4f}; f lgdet = {lgdet[j]:.4f}; "
                    f"f nll objective = {l2[j] - lgdet[j]:.4f}",
                    sys.stdout,
                )
    clear_grad(G)
    return l2, lgdet


def gaussian(rng: np.random.Generator, n: int) -> np.ndarray:
    """Latent samples, shape `(1, 1, 2, n)`."""
    return rng.standard_normal((n, 2, 1, 1), dtype=np.float32).T


def write_curves(path: Path, l2: np.ndarray, lgdet: np.ndarray) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("iteration", "l2", "lgdet", "objective"))
        writer.writerows((j + 1, a, b, a - b) for j, (a, b) in enumerate(zip(l2.tolist(), lgdet.tolist(), strict=True)))


def write_figures(
    output: Path, X_train: np.ndarray, l2: np.ndarray, lgdet: np.ndarray, Z_test: np.ndarray, X_test: np.ndarray
) -> None:
    from matplotlib.figure import Figure

    from .. import plotting

    def figure(size: tuple[float, float] = (6.4, 4.8)) -> Figure:
        return Figure(figsize=size, layout="constrained")

    def write(name: str, fig: Figure) -> None:
        fig.savefig(output / f"{name}.png", dpi=120)

    banana = {"xlim": (-4, 4), "ylim": (0, 30)}
    fig = figure()
    plotting.target_samples(X_train, ax=fig.subplots()).set(**banana)
    write("target", fig)
    fig = figure((6.4, 7))
    plotting.training_log(l2, lgdet, gaussian=1.0, best=BEST_OBJECTIVE, axes=list(fig.subplots(3, 1, sharex=True)))
    write("training_log", fig)
    fig = figure((5, 5))
    plotting.latent_samples(Z_test, ax=fig.subplots())
    write("latent", fig)
    fig = figure((4, 9))
    plotting.latent_to_data(Z_test, X_test, ax=fig.subplots())
    write("latent_to_data", fig)
    fig = figure()
    plotting.generated_samples(X_train, X_test, ax=fig.subplots()).set(**banana)
    write("generated", fig)


def report(G: NetworkGlow, rng: np.random.Generator, seed: int, engine: str | None) -> None:
    """Print how good the flow is, on samples that it was not trained on."""
    n = 2000
    first, second = (functions.sample_banana(n, seed=seed + i, engine=engine) for i in (1, 2))
    Z, lgdet = G.forward(first)
    objective = 0.5 * float(np.sum(np.square(Z))) / n - lgdet
    print(f"Objective on {n} new samples: {objective:.3f}; best possible on average: {BEST_OBJECTIVE:.3f}")
    ours = energy_distance(G.inverse(gaussian(rng, n)), first)
    print(
        f"Energy distance of {n} generated to {n} true samples: {ours:.4f}; true to true: "
        f"{energy_distance(second, first):.4f}"
    )


def energy_distance(X: np.ndarray, Y: np.ndarray) -> float:
    """The squared energy distance of two samples, zero for equal distributions.

    `2 E|x - y| - E|x - x'| - E|y - y'|`, estimated without bias, so that it can be slightly below zero.

    Args:
        X, Y: shape `(..., n_samples)`, all axes but the last taken as one vector.

    Source: Székely and Rizzo (2013), «Energy statistics», https://doi.org/10.1016/j.jspi.2013.03.018.
    """
    x, y = (np.asarray(a, np.float64).reshape(-1, a.shape[-1]) for a in (X, Y))

    def total(a: np.ndarray, b: np.ndarray) -> float:
        squares = (a**2).sum(axis=0)[:, None] + (b**2).sum(axis=0) - 2 * a.T @ b
        return float(np.sqrt(np.maximum(squares, 0)).sum())

    n, m = x.shape[1], y.shape[1]
    return 2 * total(x, y) / (n * m) - total(x, x) / (n * (n - 1)) - total(y, y) / (m * (m - 1))
