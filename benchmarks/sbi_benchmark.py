"""Posteriors against the reference posteriors of the public benchmark of simulation-based inference, beside sbi's.

    pip install '.[sbi,diagnostics]' && pip install --no-deps sbibm && python benchmarks/sbi_benchmark.py

Of the package sbibm only the files are read: observations and 10,000 samples of the reference posterior of each. Each
contender has the same simulations, a process of its own and one thread. C2ST is that of the benchmark, over 1,000
samples of either posterior; 0.5 is perfect. Published figures are over 10,000, by which a classifier learns more.
Seconds are CPU time of training, memory is the peak of the process less what it had before training.

Results are appended to a file, a line of JSON for each task, number of simulations and contender, and what is in the
file is not run again; so a run may be cut and taken up. `--table` prints the file's table.

Nothing was chosen by a C2ST: settings are the same for all tasks, found by the likelihood of held-out simulations of
SLCP with other seeds.

Source: Lueckmann et al. (2021), «Benchmarking simulation-based inference», https://arxiv.org/abs/2101.04653.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SAMPLES = 1000
SEED = 1


@dataclass(frozen=True)
class Task:
    """Prior and simulator, both of a random generator.

    Attributes:
        bound: the prior is uniform from `-bound` to `bound`, or Gaussian where it is `None`.
        published: the mean C2ST of neural posterior estimation by number of simulations.
    """

    n_parameters: int
    bound: float | None
    simulate: object
    published: dict[int, float]

    def prior(self, rng, n):
        shape = (n, self.n_parameters)
        return rng.normal(0, 0.1**0.5, shape) if self.bound is None else rng.uniform(-self.bound, self.bound, shape)

    def within(self, theta):
        """Which parameters the prior allows."""
        return np.all(np.abs(theta) < (self.bound or np.inf), axis=1)


def two_moons(rng, theta):
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, len(theta)), rng.normal(0.1, 0.01, len(theta))
    moon = np.column_stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)])
    return moon + np.column_stack([-np.abs(theta.sum(axis=1)), theta[:, 1] - theta[:, 0]]) / np.sqrt(2)


def gaussian_linear(rng, theta):
    return rng.normal(theta, 0.1**0.5)


def gaussian_mixture(rng, theta):
    return rng.normal(theta, rng.choice([1, 0.1], (len(theta), 1)))


def slcp(rng, theta):
    (s1, s2), correlation = theta.T[2:4] ** 2, np.tanh(theta[:, 4])
    first, second = rng.standard_normal((2, 4, len(theta)))
    second = correlation * first + np.sqrt(1 - correlation**2) * second
    points = np.stack([theta[:, 0] + s1 * first, theta[:, 1] + s2 * second], axis=2)
    return points.transpose(1, 0, 2).reshape(len(theta), 8)


TASKS = {
    "two_moons": Task(2, 1.0, two_moons, {1000: 0.725, 10_000: 0.606, 100_000: 0.542}),
    "gaussian_linear": Task(10, None, gaussian_linear, {1000: 0.694, 10_000: 0.552, 100_000: 0.506}),
    "gaussian_mixture": Task(2, 10.0, gaussian_mixture, {1000: 0.731, 10_000: 0.661, 100_000: 0.555}),
    "slcp": Task(5, 3.0, slcp, {1000: 0.975, 10_000: 0.901, 100_000: 0.831}),
}


def reference(task, observation):
    """An observation, and samples of its posterior."""
    root = Path(importlib.util.find_spec("sbibm").submodule_search_locations[0])
    folder = root / "tasks" / task / "files" / f"num_observation_{observation}"
    read = {"delimiter": ",", "skiprows": 1, "ndmin": 2, "dtype": np.float32}
    return (
        np.loadtxt(folder / "observation.csv", **read),
        np.loadtxt(folder / "reference_posterior_samples.csv.bz2", **read),
    )


SETTINGS = {"affine": (64, 10), "spline": (32, 8)}
"""Hidden features and steps of either coupling."""


def vector_flow(task, theta, x, coupling):
    """Train a `VectorFlow`, and give what draws from a posterior, given how many and the observation."""
    import pyinvnets as inv

    inv.set_num_threads(1)
    n_hidden, K = SETTINGS[coupling]
    sizes = {"n_cond": x.shape[1], "n_hidden": n_hidden, "K": K}
    flow = inv.VectorFlow(theta.shape[1], **sizes, coupling=coupling, engine="numpy", seed=SEED)
    epochs, batch_size = 100, 128
    rate = inv.CosineDecay(1e-2, epochs * -(-round(0.9 * len(theta)) // batch_size))
    options = {"learning_rate": rate, "clip_norm": 5.0, "seed": SEED, "progress": False}
    flow.fit(theta, x, epochs=epochs, batch_size=batch_size, **options)

    def sample(n, observation):
        drawn = flow.sample(20 * n, observation, seed=SEED)
        return drawn[task.within(drawn)][:n]

    return sample


def sbi_npe(task, theta, x):
    """Likewise, with sbi's NPE and zuko's spline flow, as they are by default."""
    import torch
    from sbi.inference import NPE
    from sbi.neural_nets import posterior_nn
    from sbi.utils import BoxUniform

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    ones = torch.ones(theta.shape[1])
    prior = torch.distributions.MultivariateNormal(0 * ones, torch.diag(0.1 * ones))
    if task.bound is not None:
        prior = BoxUniform(-task.bound * ones, task.bound * ones)
    inference = NPE(prior, density_estimator=posterior_nn("zuko_nsf"), show_progress_bars=False)
    inference.append_simulations(torch.from_numpy(theta), torch.from_numpy(x)).train()
    posterior = inference.build_posterior()
    return lambda n, observation: posterior.sample(
        (n,), x=torch.from_numpy(observation), show_progress_bars=False
    ).numpy()


CONTENDERS = {
    "affine": lambda *given: vector_flow(*given, "affine"),
    "spline": lambda *given: vector_flow(*given, "spline"),
    "sbi": sbi_npe,
}


def measure(name, n, contender, observations):
    """One line of the results."""
    from pyinvnets.diagnostics import c2st

    if contender == "sbi":
        import sbi.inference  # noqa: F401, whose memory is not that of training

    task, rng = TASKS[name], np.random.default_rng(SEED)
    theta = task.prior(rng, n)
    theta, x = theta.astype(np.float32), task.simulate(rng, theta).astype(np.float32)
    memory, seconds = peak(), time.process_time()
    sample = CONTENDERS[contender](task, theta, x)
    seconds, memory = time.process_time() - seconds, peak() - memory
    scores = []
    for i in range(1, observations + 1):
        observation, posterior = reference(name, i)
        scores.append(c2st(sample(SAMPLES, observation), posterior[:SAMPLES]))
    found = {"task": name, "simulations": n, "contender": contender, "c2st": [round(score, 4) for score in scores]}
    return found | {"seconds": round(seconds, 1), "mib": round(memory)}


def peak():
    """Of the process's memory, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def results(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(found):
    """For the README."""
    print("| task | simulations | published | " + " | ".join(CONTENDERS) + " |")
    print("| --- " * (3 + len(CONTENDERS)) + "|")
    by = {(line["task"], line["simulations"], line["contender"]): line for line in found}
    for name, n in dict.fromkeys((name, n) for n in (1000, 10_000, 100_000) for name in TASKS):
        lines = [by.get((name, n, contender)) for contender in CONTENDERS]
        if any(lines):
            cells = [
                f"{np.mean(line['c2st']):.3f}, {line['seconds']:.0f} s, {line['mib']} MiB" if line else ""
                for line in lines
            ]
            print(f"| {name.replace('_', ' ')} | {n:,} | {TASKS[name].published[n]:.3f} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=[*TASKS])
    parser.add_argument("--simulations", nargs="+", type=int, choices=(1000, 10_000, 100_000), default=[10_000])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=[*CONTENDERS])
    parser.add_argument("--observations", type=int, choices=range(1, 11), default=10, help="how many (default 10)")
    parser.add_argument("--file", type=Path, default=Path("sbi_benchmark.jsonl"), help="of the results")
    parser.add_argument("--table", action="store_true", help="print the table of the file, and run nothing")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        return table(results(options.file))
    for n, name, contender in itertools.product(options.simulations, options.tasks, options.contenders):
        key = {"task": name, "simulations": n, "contender": contender}
        if any(key.items() <= line.items() for line in results(options.file)):
            continue
        if options.here:
            line = json.dumps(measure(name, n, contender, options.observations))
            with options.file.open("a") as file:
                print(line, file=file)
            print(line, flush=True)
        else:
            one = ["--tasks", name, "--simulations", str(n), "--contenders", contender, "--file", str(options.file)]
            count = ["--observations", str(options.observations)]
            subprocess.run([sys.executable, __file__, *one, *count, "--here"], check=True)


if __name__ == "__main__":
    main()
