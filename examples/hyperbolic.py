"""A deep hyperbolic network: it keeps no states, for each follows from the two after it.

Layers of the telegraph equation take two states, here twice the same image. The network learns to take noise off
images; however deep, its backward pass starts from the last two states alone and recomputes all before. hyperbolic.png
shows images before and after.

Run it with `python examples/hyperbolic.py`. Source: examples/networks/network_hyperbolic.jl and
examples/layers/layer_coupling_hyperbolic.jl of InvertibleNetworks.jl.
"""

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import pyinvnets as inv

rng = np.random.default_rng(1)


def noise(*shape):
    return np.asfortranarray(rng.standard_normal(shape, dtype=np.float32))


# Each layer is (action, n_hidden): action -1 halves the images and makes channels of them, 1 goes back, 0 keeps.
# Recomputing the input from the output costs accuracy with depth, and no memory.
X = noise(16, 16, 1, 4)
errors = {}
for depth in (4, 16, 64):
    architecture = ((-1, 8), *[(0, 8)] * (depth - 2), (1, 8))
    G = inv.NetworkHyperbolic(1, architecture, alpha=0.1, seed=1)
    X_prev, X_curr = G.inverse(*G.forward(X, X)[:2])
    errors[depth] = max(np.abs(X_prev - X).max(), np.abs(X_curr - X).max())
    print(f"{depth} layers: the input is recovered within {errors[depth]:.1e}")


def squares(batch_size):
    """Images of a bright rectangle each."""
    images = np.zeros((16, 16, 1, batch_size), np.float32, order="F")
    for i in range(batch_size):
        left, top = rng.integers(1, 8, 2)
        width, height = rng.integers(3, 8, 2)
        images[left : left + width, top : top + height, 0, i] = 1
    return images


updates, batch_size = 300, 8
G = inv.NetworkHyperbolic(1, ((-1, 16), (0, 16), (0, 16), (1, 16)), alpha=0.2, seed=1)
opt = inv.Adam(3e-3)
losses = []
for _ in tqdm(range(updates), disable=None):
    clean = squares(batch_size)
    noisy = clean + np.float32(0.5) * noise(*clean.shape)
    Y_curr, Y_new, _ = G.forward(noisy, noisy)
    residual = (Y_new - clean) / batch_size
    losses.append(0.5 * batch_size * np.linalg.norm(residual) ** 2)
    G.backward(np.zeros_like(Y_curr), residual, Y_curr, Y_new)
    opt.update(G)
    inv.clear_grad(G)

clean = squares(200)
noisy = clean + np.float32(0.5) * noise(*clean.shape)
denoised = G.forward(noisy, noisy)[1]
before, after = (np.sqrt(np.mean((images - clean) ** 2)) for images in (noisy, denoised))
print(f"root mean square error of new images: {before:.3f} with noise, {after:.3f} after the network")

fig, axes = plt.subplots(3, 5, figsize=(8, 4.9), layout="constrained")
for row, images, title in zip(axes, (clean, noisy, denoised), ("Clean", "With noise", "Denoised"), strict=True):
    row[0].set_ylabel(title)
    for i, ax in enumerate(row):
        ax.imshow(images[:, :, 0, i].T, vmin=-0.5, vmax=1.5, cmap="gray")
        ax.set(xticks=[], yticks=[])
fig.savefig("hyperbolic.png")
print("hyperbolic.png shows images before and after")
