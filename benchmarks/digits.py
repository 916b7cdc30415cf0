"""Bits per dimension on handwritten digits: GLOW on the NumPy engine, beside PyTorch's normflows in the same run.

    pip install '.[benchmark]' && OPENBLAS_NUM_THREADS=1 python benchmarks/digits.py --figure digits.png

The data are scikit-learn's 1797 digits of 8x8 pixels with 17 levels, split for both into 1197 to train on, 300 for
validation and 300 for the test. A level `k` becomes `k + u`, `u` uniform in [0, 1) and drawn anew for each batch, and
is scaled to [-0.5, 0.5). With `p` the density of the unscaled value, whose unit is one level, bits per dimension are
`-log2(p) / 64`. This bounds from above what the flow would give the discrete levels; it is averaged over the test
images and over some draws of `u`.

Both flows have the same scales, steps and hidden channels, and about as many parameters. Both are trained by Adam with
the same batch size and cosine decay, for the same CPU time of one thread; validation is not counted. They take turns,
so that a noisy machine bothers both alike, and both keep the weights with the best validation after a turn. What each
may choose, it chooses on validation with the first seed: the learning rate from the same three, and the scale of its
coupling layers from two, ours from upstream's activations, normflows' from its maps. Both start with coupling layers
whose last convolution is zero, which normflows does by itself.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from updates import multiscale_glow

import pyinvnets as inv

LEVELS, DIMENSIONS = 17, 64
BATCH_SIZE = 64
CASES = {"8 wide steps": (32, 2, 8), "16 narrow steps": (16, 2, 16)}
"""`n_hidden, L, K` of both."""
LEARNING_RATES = (3e-3, 6e-3, 1.2e-2)
OUR_SCALES = (inv.ExpClampLayer(), inv.SigmoidLayer())
THEIR_SCALES = ("exp", "sigmoid")
TURNS = 8
DRAWS = 8


def dequantised(images, rng):
    """A contiguous batch `(n, 1, 8, 8)` in [-0.5, 0.5)."""
    uniform = rng.random(images.shape, dtype=np.float32)
    return ((images + uniform) / LEVELS - 0.5).astype(np.float32)[:, None]


def bits_per_dimension(log_prob):
    """From the mean log-density of scaled images, in nats."""
    return -(log_prob - DIMENSIONS * math.log(LEVELS)) / (DIMENSIONS * math.log(2))


class Digits:
    def __init__(self):
        images = load_digits().images.astype(np.float32)
        order = np.random.default_rng(0).permutation(len(images))
        self.train, validation, self.test = np.split(images[order], (1197, 1497))
        self.validation = dequantised(validation, np.random.default_rng(1))

    def tested(self, log_prob):
        rng = np.random.default_rng(2)
        values = [np.mean(log_prob(dequantised(self.test, rng)), dtype=np.float64) for _ in range(DRAWS)]
        return bits_per_dimension(float(np.mean(values)))


class Turns:
    """Random batches, in each iteration for as long as a turn lasts; the time of what is done with them counts."""

    def __init__(self, images, seconds, seed):
        self._images, self._seconds = images, seconds
        self._rng = np.random.default_rng(seed)
        self.used, self.updates = 0.0, 0

    def __iter__(self):
        before = time.process_time() - self.used
        end = self.used + self._seconds / TURNS
        while self.used < end:
            chosen = self._rng.choice(len(self._images), BATCH_SIZE, replace=False)
            yield dequantised(self._images[chosen], self._rng).T
            self.used = time.process_time() - before
            self.updates += 1

    def learning_rate(self, start):
        """Cosine decay over the time."""
        return 1e-6 + start * (1 + math.cos(math.pi * min(self.used / self._seconds, 1))) / 2


def our_flow(case, scale, seed):
    G = inv.NetworkGlow(1, *case, split_scales=True, activation=scale, engine="numpy", seed=seed)
    return inv.begin_near_identity(G)


def their_flow(case, scale, seed):
    import torch

    torch.manual_seed(seed)
    return multiscale_glow((8, 8, 1), *case, trainable=True, scale_map=scale)


class Theirs:
    """The training of a normflows flow, a turn at a time."""

    def __init__(self, digits, case, seconds, seed, scale, rate):
        import torch

        self.flow = their_flow(case, scale, seed)
        self.turns = Turns(digits.train, seconds, seed)
        self._digits, self._rate = digits, rate
        self._optimiser = torch.optim.Adam(self.flow.parameters(), rate)
        self.curve, self._best = [], self.flow.state_dict()

    def turn(self):
        import torch

        for X in self.turns:
            self._optimiser.param_groups[0]["lr"] = self.turns.learning_rate(self._rate)
            self._optimiser.zero_grad()
            (-self.flow.log_prob(torch.from_numpy(X.T), None).mean()).backward()
            self._optimiser.step()
        value = bits_per_dimension(float(np.mean(self.log_prob(self._digits.validation))))
        if not math.isfinite(value):
            value = math.inf
        if value < min(self.curve, default=math.inf):
            self._best = {name: tensor.clone() for name, tensor in self.flow.state_dict().items()}
        self.curve.append(value)

    def log_prob(self, batch):
        import torch

        with torch.no_grad():
            return self.flow.log_prob(torch.from_numpy(batch), None).numpy()

    def finish(self):
        self.flow.load_state_dict(self._best)


class Ours:
    """The training of a pyinvnets flow by `fit`, which gives others their turn after each of its own."""

    def __init__(self, digits, case, seconds, seed, scale, rate):
        self.flow = our_flow(case, scale, seed)
        self.turns = Turns(digits.train, seconds, seed)
        self._digits, self._seed, self._rate = digits, seed, rate
        self.curve = []

    def run(self, after_turn):
        inv.fit(
            self.flow,
            self.turns,
            epochs=TURNS,
            learning_rate=lambda made: self.turns.learning_rate(self._rate),
            validation=self._digits.validation.T,
            seed=self._seed,
            progress=False,
            callback=lambda G, history: self._note(history, after_turn),
        )

    def _note(self, history, after_turn):
        constant = DIMENSIONS / 2 * math.log(2 * math.pi)
        self.curve.append(bits_per_dimension(-history.validation[-1] - constant))
        after_turn()

    def log_prob(self, batch):
        return self.flow.log_prob(batch.T)


def train_both(digits, case, seconds, seed, our_choice, their_choice):
    mine = Ours(digits, case, seconds, seed, *our_choice)
    theirs = Theirs(digits, case, seconds, seed, *their_choice)
    mine.run(theirs.turn)
    while len(theirs.curve) < TURNS:  # Ours ended early, as diverged.
        theirs.turn()
    theirs.finish()
    return mine, theirs


def choices(digits, case, seconds):
    """The best scale and learning rate of each on validation."""
    best = [(math.inf, None), (math.inf, None)]
    print(f"{'ours':>32} {'normflows':>10} {'rate':>7}   {'bits: ours':>10} {'normflows':>10}")
    scales = zip(OUR_SCALES, THEIR_SCALES, strict=True)
    for (our_scale, their_scale), rate in itertools.product(scales, LEARNING_RATES):
        made = (our_scale, rate), (their_scale, rate)
        values = [min(side.curve, default=math.inf) for side in train_both(digits, case, seconds, 1, *made)]
        print(f"{our_scale!r:>32} {their_scale:>10} {rate:7}   {values[0]:10.3f} {values[1]:10.3f}", flush=True)
        best = [min(old, (v, c), key=lambda pair: pair[0]) for old, v, c in zip(best, values, made, strict=True)]
    return [choice for _, choice in best]


def compare(digits, case, seconds, seeds):
    """Print the tables of one case; gives the curves of both, `(seeds, turns)`."""
    best = choices(digits, case, seconds)
    print(f"chosen: ours {best[0]}, normflows {best[1]}")
    runs = [train_both(digits, case, seconds, seed, *best) for seed in range(1, seeds + 1)]
    mine, theirs = runs[0]
    ours, others = mine.flow.state_dict().values(), theirs.flow.parameters()
    print(f"parameters: ours {sum(p.size for p in ours)}, normflows {sum(p.numel() for p in others)}")

    curves = [np.array([side.curve for side in sides]) for sides in zip(*runs, strict=True)]
    print(f"\n{'CPU time':>10} {'ours':>7} {'normflows':>10}   validation, mean of {seeds} seed(s)")
    for i in range(TURNS):
        print(f"{seconds * (i + 1) / TURNS:8.1f} s {curves[0][:, i].mean():7.3f} {curves[1][:, i].mean():10.3f}")
    print(f"\n{'seed':>10} {'ours':>7} {'normflows':>10}   test, and the updates made")
    for seed, sides in enumerate(runs, 1):
        bits = [digits.tested(side.log_prob) for side in sides]
        made = [side.turns.updates for side in sides]
        print(f"{seed:10} {bits[0]:7.3f} {bits[1]:10.3f}   {made[0]:5} {made[1]:5}", flush=True)
    return curves


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=12, help="CPU time of each training (default 12)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each with its best choice (default 3)")
    parser.add_argument("--figure", help="a file to draw the curves into")
    arguments = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="torch.lu is deprecated")
    digits, curves = Digits(), {}
    for name, case in CASES.items():
        print(f"\n{name}: n_hidden, L, K = {case}, batches of {BATCH_SIZE}, {arguments.seconds:g} s of CPU time each\n")
        curves[name] = compare(digits, case, arguments.seconds, arguments.seeds)
    if arguments.figure:
        draw(curves, arguments.seconds, arguments.figure)


def draw(curves, seconds, path):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, len(curves), sharey=True, figsize=(9, 4), layout="constrained")
    time = seconds * np.arange(1, TURNS + 1) / TURNS
    for ax, (title, both) in zip(axes, curves.items(), strict=True):
        for values, name, colour in zip(both, ("pyinvnets", "normflows"), ("tab:blue", "tab:orange"), strict=True):
            ax.plot(time, values.T, color=colour, linewidth=0.5, alpha=0.6)
            ax.plot(time, values.mean(axis=0), color=colour, marker="o", label=name)
        ax.set(xlabel="CPU time of training (s)", title=title)
    axes[0].set_ylabel("Bits per dimension, validation")
    axes[0].legend()
    fig.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
