"""The GLOW networks on images: one scale and several, with a condition, in three dimensions, of dense layers.

Each takes fifty updates towards the likelihood of smooth random images. A line shows the objective per pixel before
and after, and how far images that went to the latent and back are from where they started.

Run it with `python examples/networks.py`. Source: examples/networks of InvertibleNetworks.jl.
"""

import numpy as np
from tqdm import tqdm

import pyinvnets as inv

updates, batch_size = 50, 8
rng = np.random.default_rng(1)


def images(*spatial, n_channels):
    """Random walks along each axis, shape (*spatial, n_channels, batch_size): neighbours are alike."""
    X = rng.standard_normal((batch_size, n_channels, *spatial)).T
    for axis in range(len(spatial)):
        X = np.cumsum(X, axis) / np.sqrt(spatial[axis])
    return np.asfortranarray(X, np.float32)


def loss(G, X):
    """The negative log-likelihood without its constant; sets the gradients of G's parameters."""
    Z, lgdet = G.forward(X)
    G.backward(Z / batch_size, Z)
    return 0.5 * np.linalg.norm(Z) ** 2 / batch_size - lgdet


def loss_given(G, X, C):
    """That of X given the condition C."""
    Z, C_latent, lgdet = G.forward(X, C)
    G.backward(Z / batch_size, Z, C_latent)  # inverse and backward take the condition that forward returned
    return 0.5 * np.linalg.norm(Z) ** 2 / batch_size - lgdet


falls, errors = {}, {}


def train(title, G, draw, loss):
    """Updates on new images each time, and a line of the table."""
    opt = inv.Adam(3e-3)
    objectives = []
    for _ in tqdm(range(updates), title, leave=False):
        inputs = draw()
        objectives.append(loss(G, *inputs) / inputs[0][..., 0].size)
        opt.update(G)
        inv.clear_grad(G)
    *latents, _ = G.forward(*inputs)
    errors[title] = np.abs(G.inverse(*latents) - inputs[0]).max()
    falls[title] = np.mean(objectives[:5]) - np.mean(objectives[-5:])
    print(f"{title:32}{np.mean(objectives[:5]):>10.2f}{np.mean(objectives[-5:]):>10.2f}{errors[title]:>14.1e}")


print(f"{'network':32}{'before':>10}{'after':>10}{'inverse':>14}")
L, K, n_hidden = 2, 2, 16  # scales, flow steps per scale, hidden channels

# All channels stay until the end.
G = inv.NetworkGlow(4, n_hidden, L, K, seed=1)
train("GLOW", G, lambda: (images(16, 16, n_channels=4),), loss)

# Each scale halves the images, and sends half of what is there to the latent, a flat vector.
G = inv.NetworkGlow(1, n_hidden, L, K, split_scales=True, seed=1)
train("GLOW, multiscale", G, lambda: (images(16, 16, n_channels=1),), loss)

# The blocks are dense layers over whole signals of length nx, in place of convolutions.
G = inv.NetworkGlow(1, n_hidden, L, K, nx=64, dense=True, ndims=1, seed=1)
train("GLOW, dense layers on a line", G, lambda: (images(64, n_channels=1),), loss)


# The condition is the image with noise.
def noisy(X):
    return X, X + np.float32(0.1) * np.asfortranarray(rng.standard_normal(X.T.shape, dtype=np.float32).T)


G = inv.NetworkConditionalGlow(4, 4, n_hidden, L, K, seed=1)
train("conditional GLOW", G, lambda: noisy(images(16, 16, n_channels=4)), loss_given)

G = inv.NetworkConditionalGlow(2, 2, n_hidden, L, K, ndims=3, seed=1)
train("conditional GLOW in 3-D", G, lambda: noisy(images(8, 8, 8, n_channels=2)), loss_given)
