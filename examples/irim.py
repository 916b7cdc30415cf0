"""An unrolled loop that solves an inverse problem, by invertible layers: the i-RIM.

A blurred image with holes and noise is d = J x + noise. Each turn of the loop takes the gradient J' (J x - d) into a
state beside the image, and an invertible layer updates both; the layers are learnt from images. Since every turn can
be undone, the backward pass keeps no states: it recomputes them from the last one. irim.png shows images, data,
and reconstructions.

Run it with `python examples/irim.py`. Source: examples/networks/network_irim.jl of InvertibleNetworks.jl; Putzky and
Welling (2019), «Invert to Learn to Invert», https://arxiv.org/abs/1911.10914.
"""

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import pyinvnets as inv

rng = np.random.default_rng(1)
n, batch_size, noise = 16, 8, 0.05


def squares(count):
    """Images of a bright rectangle each, shape (nx, ny, 1, count)."""
    images = np.zeros((n, n, 1, count), np.float32, order="F")
    for i in range(count):
        left, top = rng.integers(1, n // 2, 2)
        width, height = rng.integers(3, n // 2, 2)
        images[left : left + width, top : top + height, 0, i] = 1
    return images


# The operator: blur along both axes, then keep 60 % of the pixels. A matrix, or anything with matvec and rmatvec.
positions = np.arange(n)
blur = np.exp(-0.5 * (positions[:, None] - positions) ** 2)
blur /= blur.sum(1, keepdims=True)
kept = np.sort(rng.permutation(n * n)[: int(0.6 * n * n)])
J = np.asfortranarray(np.kron(blur, blur)[kept], np.float32)


def observe(images):
    """Data, a column for each image."""
    d = J @ images.reshape(-1, images.shape[-1], order="F")
    return np.asfortranarray(d + noise * rng.standard_normal(d.shape), np.float32)


# n_in counts the image and the channels of the state together; the link function is the identity.
n_in, n_hidden, turns = 4, 32, 4
L = inv.NetworkLoop(n_in, n_hidden, turns, lambda eta: eta, type="HINT", seed=1)


def start(count):
    """No image yet, and a state of little noise, for ActNorm to have something to scale."""
    s = 0.1 * rng.standard_normal((n, n, n_in - 1, count))
    return np.zeros((n, n, 1, count), np.float32, order="F"), np.asfortranarray(s, np.float32)


updates = 250
opt = inv.Adam(3e-3)
losses = []
for _ in tqdm(range(updates)):
    images = squares(batch_size)
    d = observe(images)
    eta, s = L.forward(*start(batch_size), d, J)
    residual = (eta - images) / batch_size
    losses.append(0.5 * batch_size * np.linalg.norm(residual) ** 2)
    L.backward(residual, np.zeros_like(s), eta, s, d, J)
    opt.update(L)
    inv.clear_grad(L)
print(f"half the squared error: {np.mean(losses[:20]):.2f} at the start, {np.mean(losses[-20:]):.2f} at the end")

# New images: the loop, against the best linear reconstruction of Tikhonov's kind.
images = squares(100)
d = observe(images)
eta_0, s_0 = start(100)
eta, s = L.forward(eta_0, s_0, d, J)
guesses = [np.linalg.solve(J.T @ J + weight * np.eye(n * n), J.T @ d) for weight in 10.0 ** np.arange(-4, 1)]
guesses = [guess.reshape(images.shape, order="F") for guess in guesses]
tikhonov = min(guesses, key=lambda guess: np.linalg.norm(guess - images))
error, linear_error = (np.linalg.norm(guess - images) / np.linalg.norm(images) for guess in (eta, tikhonov))
print(f"relative error of new images {error:.3f}, of the best Tikhonov reconstruction {linear_error:.3f}")

eta_again, s_again = L.inverse(eta, s, d, J)
inverse_error = max(np.abs(eta_again - eta_0).max(), np.abs(s_again - s_0).max())
print(f"the loop's start is recovered from its end within {inverse_error:.1e}")

seen = np.full((n * n, 100), np.nan)
seen[kept] = d
fig, axes = plt.subplots(4, 5, figsize=(8, 6.5), layout="constrained")
rows = {"Image": images, "Data": seen.reshape(images.shape, order="F"), "Tikhonov": tikhonov, "i-RIM": eta}
for row, (title, shown) in zip(axes, rows.items(), strict=True):
    row[0].set_ylabel(title)
    for i, ax in enumerate(row):
        ax.imshow(shown[:, :, 0, i].T, vmin=0, vmax=1, cmap="gray")
        ax.set(xticks=[], yticks=[])
fig.savefig("irim.png")
print("irim.png shows images, data, and reconstructions")
