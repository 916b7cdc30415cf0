"""Learn the banana distribution with HINT: couplings within couplings, between activation normalisations.

hint_banana.png shows what the network makes of data and of noise. The samples are compared with the target's by the
energy distance, which is zero for equal distributions; two sets of target samples show how small it gets by chance.

Run it with `python examples/hint_banana.py`. Source: examples/applications/non_conditional_sampling/hint_banana.jl of
InvertibleNetworks.jl; Kruse et al. (2021), https://arxiv.org/abs/1905.10687.
"""

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import pyinvnets as inv
from pyinvnets import plotting
from pyinvnets.cli.tutorial import energy_distance

# The network: four times an ActNorm and a HINT layer whose blocks are dense, that is 1x1 convolutions.
n_in, n_hidden, depth = 2, 64, 4
layers = []
for j in range(depth):
    layers.append(inv.ActNorm(n_in, logdet=True))
    layers.append(
        inv.CouplingLayerHINT(n_in, n_hidden, logdet=True, permute="lower", k1=1, k2=1, p1=0, p2=0, seed=j + 1)
    )
H = inv.Sequential(*layers)

updates, batch_size = 1000, 100
opt = inv.Adam(1e-3)
objective = np.zeros(updates)
for j in tqdm(range(updates), disable=None):
    X = inv.sample_banana(batch_size, seed=j)
    Z, lgdet = H.forward(X)
    objective[j] = -inv.log_likelihood(Z) - lgdet
    H.backward(-inv.grad_log_likelihood(Z), Z)
    opt.update(H)
    inv.clear_grad(H)

print(f"objective {objective[:10].mean():.2f} at the start, {objective[-100:].mean():.2f} at the end; 1.00 is the best")

# The banana is made of two normal numbers u and v, by a map that keeps areas, so its density is known.
X_test = inv.sample_banana(2000, seed=updates)
u, v = X_test[0, 0, 0], X_test[0, 0, 1] - 4 * (X_test[0, 0, 0] ** 2 + 1)
true_log_prob = -(u**2 + v**2) / 2 - np.log(2 * np.pi)
log_ratio = H.log_prob(X_test) - true_log_prob
divergence = np.mean(np.exp(log_ratio) - 1 - log_ratio)  # the mean of -log_ratio, with less noise
print(f"Kullback-Leibler divergence from the target {divergence:.4f} nats")

X_new = H.sample(2000, spatial=(1, 1), seed=1)
X_other = inv.sample_banana(2000, seed=updates + 1)
distance, by_chance = energy_distance(X_new, X_test), energy_distance(X_other, X_test)
print(f"energy distance of new samples to the target's {distance:.4f}, of other target samples {by_chance:.4f}")

Z_test = H.forward(X_test)[0]
Z = np.random.default_rng(2).standard_normal((2000, 2, 1, 1), dtype=np.float32).T
panels = (
    (X_test, "x", r"Data $x \sim p_X(x)$", plotting.TARGET),
    (Z_test, "z", "Their latents $z = f(x)$", plotting.LATENT),
    (X_new, "x", "Samples $x = f^{-1}(z)$", plotting.GENERATED),
    (Z, "z", r"Noise $z \sim p_Z(z)$", plotting.LATENT),
)
fig, axes = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
for ax, (points, letter, title, color) in zip(axes.flat, panels, strict=True):
    ax.scatter(points[0, 0, 0, :500], points[0, 0, 1, :500], s=16, alpha=0.5, color=color, linewidths=0)
    ax.set(xlabel=f"${letter}_1$", ylabel=f"${letter}_2$", title=title)
    ax.set(xlim=(-4, 4), ylim=(0, 50) if letter == "x" else (-4, 4))
fig.savefig("hint_banana.png")
print("hint_banana.png shows data and latent space")
