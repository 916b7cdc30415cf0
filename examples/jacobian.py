"""The derivative of a network along a direction, its adjoint, and training with steps that they choose.

First the derivative of a HINT layer in its input and its parameters, and its adjoint, neither of which stores a
matrix: they pass the dot test. Then a network is fitted to a photograph by steepest
descent, where the derivative along the gradient gives the length of each step. jacobian.png shows the photograph, what
the network makes of noise, and the error.

Run it with `python examples/jacobian.py`. It needs SciPy. Source: examples/jacobian of InvertibleNetworks.jl.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from scipy.sparse.linalg import svds
from tqdm import tqdm

import pyinvnets as inv

rng = np.random.default_rng(1)


def normal(*shape):
    return np.asfortranarray(rng.standard_normal(shape, dtype=np.float32))


def dot(a, b):
    return float(np.sum(a * b, dtype=np.float64))


# f(X, theta) = Y, and df: (dX, dtheta) -> dY. A direction of the parameters is a dict of arrays by name.
N = inv.CouplingLayerHINT(8, 16, permute="full", seed=1)
X, dX, dY = normal(16, 16, 8, 2), normal(16, 16, 8, 2), normal(16, 16, 8, 2)
dtheta = {p.name: normal(*p.shape) for p in inv.get_params(N)}

J_dX, Y = N.jacobian(dX, dtheta, X)
Jt_dY, Jt_dtheta, X_again = N.adjoint_jacobian(dY, Y)
left = dot(J_dX, dY)
right = dot(dX, Jt_dY) + sum(dot(dtheta[name], Jt_dtheta[name]) for name in dtheta)
dot_error = abs(left - right) / abs(left)
print(f"dot test of the derivative and its adjoint: {left:.4f} and {right:.4f}")

# theta -> Y alone as SciPy's linear operator: here its largest singular value, by Lanczos iterations.
J = inv.Jacobian(N, X)
largest = svds(J, 1, return_singular_vectors=False, random_state=1)[0]
print(f"{J.shape[0]} x {J.shape[1]} Jacobian in the parameters: largest singular value {largest:.1f}")

# A photograph of Grace Hopper, which comes with Matplotlib, as 16 channels of a fourth of its size.
photograph = plt.imread(get_sample_data("grace_hopper.jpg", asfileobj=False))[:512:8, :512:8].mean(axis=2).T
photograph = (photograph - photograph.mean()) / photograph.std()
target = np.asfortranarray(photograph[:, :, None, None], np.float32)
for _ in range(2):
    target = inv.wavelet_squeeze(target)

# Three layers turn fixed noise into it; the gradient leaves log-determinants out.
n_channels = target.shape[2]
layers = [inv.CouplingLayerHINT(n_channels, 2 * n_channels, permute="full", seed=i) for i in range(3)]
N = inv.Sequential(*layers)
X = normal(*target.shape)
learning_rate = 0.5
errors = []
for _ in tqdm(range(100), disable=None):
    Y = N.forward(X)
    dY = Y - target
    errors.append(np.linalg.norm(dY) / np.linalg.norm(target))
    _, dtheta, _ = N.adjoint_jacobian(dY, Y)
    J_dtheta, _ = N.jacobian(np.zeros_like(X), dtheta, X)
    step = dot(J_dtheta, dY) / dot(J_dtheta, J_dtheta)  # the best one for the linearised network
    inv.set_params(N, [p.data - learning_rate * step * dtheta[p.name] for p in inv.get_params(N)])
print(f"relative error {errors[0]:.2f} at the start, {errors[-1]:.2f} after {len(errors)} steps")

Y = N.forward(X)
for _ in range(2):
    Y, target = inv.wavelet_unsqueeze(Y), inv.wavelet_unsqueeze(target)
fig, axes = plt.subplots(1, 3, figsize=(12, 4), width_ratios=(1, 1, 1.1), layout="constrained")
for ax, image, title in zip(axes, (target, Y), ("Photograph", "Network of noise"), strict=False):
    ax.imshow(image[:, :, 0, 0].T, cmap="gray", vmin=-2, vmax=2)
    ax.set(xticks=[], yticks=[], title=title)
axes[2].plot(errors)
axes[2].set(xlabel="Step", ylabel="Relative error", title="Training", ylim=(0, None))
fig.savefig("jacobian.png")
print("jacobian.png shows the photograph, what the network makes of noise, and the error")
