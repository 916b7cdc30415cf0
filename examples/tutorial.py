"""Learn the banana distribution with GLOW: the tutorial of InvertibleNetworks.jl, line by line.

Run it with `python examples/tutorial.py`; it needs no Julia (engine="numpy"), and runs the same on engine="julia".
"""

import matplotlib.pyplot as plt
import numpy as np

import pyinvnets as inv
from pyinvnets import plotting

inv.use_engine("numpy")

# The target: samples of the two-dimensional Rosenbrock distribution, two channels of a 1x1 image.
n_train = 60_000
X_train = inv.sample_banana(n_train, seed=1234)  # (nx, ny, n_channels, n_samples)


def loss(G, X):
    """The two terms of the negative log-likelihood; sets the gradients of G's parameters."""
    batch_size = X.shape[-1]
    Z, lgdet = G.forward(X)
    l2_loss = 0.5 * np.linalg.norm(Z) ** 2 / batch_size  # the likelihood under the normal distribution
    dZ = Z / batch_size  # and its gradient
    G.backward(dZ, Z)  # recomputes the states by inversion, and adds the gradient of the log-determinant
    return l2_loss, lgdet


# The network: 2 channels, 16 hidden channels, 1 scale, 10 flow steps.
n_in, n_hidden, levels_L, flowsteps_K = 2, 16, 1, 10
G = inv.NetworkGlow(n_in, n_hidden, levels_L, flowsteps_K, seed=1234)

batch_size = 150
maxiter = n_train // batch_size
opt = inv.Adam(9e-4)

loss_l2 = np.zeros(maxiter)
loss_lgdet = np.zeros(maxiter)

for j in range(maxiter):
    X = X_train[..., j * batch_size : (j + 1) * batch_size]
    loss_l2[j], loss_lgdet[j] = loss(G, X)
    if (j + 1) % 50 == 0:
        print(
            f"Iteration={j + 1}/{maxiter}; f l2 = {loss_l2[j]:.4f}; f lgdet = {loss_lgdet[j]:.4f}; "
            f"f nll objective = {loss_l2[j] - loss_lgdet[j]:.4f}"
        )
    for p in inv.get_params(G):
        opt.update(p)  # opt.update(G) does the same in one call, and faster
    inv.clear_grad(G)  # the published loop lacks this, and its Conv1x1 gradients pile up

# New samples: latent normal noise through the inverse.
Z_test = np.random.default_rng(1234).standard_normal((500, 2, 1, 1), dtype=np.float32).T
X_test = G.inverse(Z_test)

_, ax = plt.subplots(layout="constrained")
plotting.generated_samples(X_train, X_test, ax=ax).set(xlim=(-4, 4), ylim=(0, 30))
plt.savefig("tutorial.png")
print("tutorial.png shows generated samples over the target's")
