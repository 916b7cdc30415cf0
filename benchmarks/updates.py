"""Time of one update (forward, backward, Adam) on the NumPy engine, beside PyTorch's normflows in the same run.

    pip install '.[benchmark]' && python benchmarks/updates.py

Both train a flow of like size by maximum likelihood in float32 on the CPU, each in a process of its own: in one, the
threads of NumPy's library and of PyTorch's get in each other's way. They take turns, so that a noisy machine bothers
both alike. Each figure is the median.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
import warnings

import numpy as np

import pyinvnets as inv

CASES = {
    "tutorial: 1x1x2, batch 150, L=1, K=10, 16 hidden": ((1, 1, 2, 150), 16, 1, 10),
    "image: 64x64x3, batch 8, L=2, K=8, 64 hidden": ((64, 64, 3, 8), 64, 2, 8),
}


def updating(G, X):
    """A function that makes one update of the network."""
    opt = inv.Adam(1e-4)

    def update():
        Z, _ = G.forward(X)
        G.backward(Z / X.shape[-1], Z)
        opt.update(G)
        inv.clear_grad(G)

    return update


def noise(shape):
    return np.asfortranarray(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


def ours(shape, n_hidden, L, K):
    G = inv.NetworkGlow(shape[2], n_hidden, L, K, split_scales=shape[0] > 1, engine="numpy", seed=1)
    return updating(G, noise(shape))


def multiscale_glow(image, n_hidden, L, K, *, trainable, scale_map="sigmoid"):
    """A normflows flow of images `(nx, ny, n_channels)`.

    Args:
        trainable: whether the Gaussians of the latents have means and scales that are trained.
    """
    import normflows as nf

    nx, ny, channels = image
    bases, flows, merges = [], [], []
    for i in range(L):
        depth, size = channels * 2 ** (L + 1 - i), 2 ** (L - i)
        blocks = [nf.flows.GlowBlock(depth, n_hidden, scale=True, scale_map=scale_map) for _ in range(K)]
        flows.append([*blocks, nf.flows.Squeeze()])
        latent = (depth if i == 0 else depth // 2, nx // size, ny // size)
        bases.append(nf.distributions.base.DiagGaussian(latent, trainable=trainable))
        if i > 0:
            merges.append(nf.flows.Merge())
    return nf.MultiscaleFlow(bases, flows, merges, class_cond=False)


def normflows(shape, n_hidden, L, K, device="cpu"):
    import normflows as nf
    import torch

    warnings.filterwarnings("ignore", message="torch.lu is deprecated")
    nx, ny, channels, samples = shape
    torch.manual_seed(0)
    if nx == 1:
        base = nf.distributions.base.DiagGaussian((channels, 1, 1), trainable=False)
        flows = [nf.flows.GlowBlock(channels, n_hidden, scale=True) for _ in range(K)]
        model = nf.NormalizingFlow(base, flows)
    else:
        model = multiscale_glow(shape[:3], n_hidden, L, K, trainable=False)
    model.to(device)
    optimiser = torch.optim.Adam(model.parameters(), 1e-4)
    X = torch.randn(samples, channels, nx, ny, device=device)

    def update():
        optimiser.zero_grad()
        loss = model.forward_kld(X)
        loss.backward()
        optimiser.step()

    return update


def serve(make, arguments, turn, pipe):
    """For each message, make updates for so many seconds and send back the time of each."""
    update = make(*arguments)
    update()
    update()
    while pipe.recv():
        times, end = [], time.perf_counter() + turn
        while (start := time.perf_counter()) < end:
            update()
            times.append(1e3 * (time.perf_counter() - start))
        pipe.send(times)


def milliseconds(contenders, seconds, turn=0.5):
    """Median time of an update of each `(make, arguments)`, in turns, over about `seconds`."""
    context = multiprocessing.get_context("spawn")
    pipes, times = [], [[] for _ in contenders]
    for make, arguments in contenders:
        ours, theirs = context.Pipe()
        context.Process(target=serve, args=(make, arguments, turn, theirs), daemon=True).start()
        pipes.append(ours)
    for _ in range(max(2, round(seconds / turn / len(contenders)))):
        for pipe, record in zip(pipes, times, strict=True):
            pipe.send(True)
            record += pipe.recv()
    for pipe in pipes:
        pipe.send(False)
    return [statistics.median(record) for record in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="time for each case (default 20)")
    seconds = parser.parse_args().seconds
    print(f"{'case':50} {'numpy engine':>13} {'normflows':>12} {'ratio':>6}")
    for name, case in CASES.items():
        mine, theirs = milliseconds([(ours, case), (normflows, case)], seconds)
        print(f"{name:50} {mine:10.2f} ms {theirs:9.2f} ms {theirs / mine:6.2f}")


if __name__ == "__main__":
    main()
