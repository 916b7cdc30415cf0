"""Networks made of layers, arithmetic with parameters, and weights on disk.

Run it with `python examples/parameters.py`. Source: examples/utils of InvertibleNetworks.jl.
"""

import tempfile
from pathlib import Path

import numpy as np

import pyinvnets as inv

rng = np.random.default_rng(1)
X = rng.standard_normal((5, 4, 56, 28), dtype=np.float32).T  # (nx, ny, n_channels, n_samples)

# Composition: the first layer given is applied first, where upstream's Composition applies the last one first.
N1 = inv.CouplingLayerHINT(4, 16, permute="full", logdet=True, seed=1)
N2 = inv.ActNorm(4, logdet=True)
N3 = inv.CouplingLayerHINT(4, 16, permute="full", logdet=True, seed=3)
N = inv.Sequential(N1, N2, N3)

Z, lgdet = N.forward(X)
by_hand, terms = X, []
for layer in (N1, N2, N3):
    by_hand, term = layer.forward(by_hand)
    terms.append(term)
composition_error = max(np.abs(Z - by_hand).max(), abs(lgdet - sum(terms)))
inverse_error = np.abs(N.inverse(Z) - X).max()
print(f"composed and layer by layer differ by {composition_error:.1e}; the inverse is off by {inverse_error:.1e}")

# The whole is a network like any other, with the parameters of its layers.
for p in inv.get_params(N)[:3]:
    print(f"  {p.name}: shape {p.shape}, norm {np.linalg.norm(p.data):.3f}")
print(f"  and {len(inv.get_params(N)) - 3} more")

# Arithmetic: a state_dict is a dict of arrays, here of the network halfway between two.
other = inv.Sequential(
    inv.CouplingLayerHINT(4, 16, permute="full", logdet=True, seed=4),
    inv.ActNorm(4, logdet=True),
    inv.CouplingLayerHINT(4, 16, permute="full", logdet=True, seed=5),
)
other.forward(X)
theta, theta_other = N.state_dict(), other.state_dict()
inner = sum(np.vdot(theta[name], theta_other[name]) for name in theta)
squares = sum(np.vdot(value, value) for value in theta.values())
print(f"norm of all parameters {np.sqrt(squares):.2f}, inner product with another network's {inner:.2f}")

other.load_state_dict({name: (theta[name] + theta_other[name]) / 2 for name in theta})
print(f"halfway between the two, outputs differ by {np.abs(other.forward(X)[0] - Z).max():.2f}")
inv.set_params(other, inv.get_params(N))  # in the order of get_params, as upstream's set_params!
copy_error = np.abs(other.forward(X)[0] - Z).max()
print(f"with the parameters copied, by {copy_error:.1e}")

# Parameters are live views of the engine's memory: to write into them is to change the network. To double ActNorm's
# scale adds log 2 to the log-determinant for each pixel and channel.
scale = inv.named_params(N)["layers[2].s"]
scale.data[:] *= 2
gain = N2.forward(X)[1] - terms[1]
scale.data[:] /= 2
print(f"with the scale doubled the log-determinant grows by {gain:.2f}, expected {X[..., 0].size * np.log(2):.2f}")

# On disk: named arrays and the constructor, in a safetensors file, which loads on either engine.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "network.safetensors"
    inv.save(N, path)
    loaded = inv.load(path)
    loaded_error = np.abs(loaded.forward(X)[0] - Z).max()
    print(f"{path.stat().st_size / 1024:.0f} KiB on disk; the network loaded from there differs by {loaded_error:.1e}")
    print(loaded)

# Weights that a Julia user saved with BSON, as examples/utils/save_load_network.jl does, are read without Julia, in
# the order of get_params: inv.set_params(G, inv.load_bson("net_params.bson")); inv.load_jld2 reads JLD2's files
