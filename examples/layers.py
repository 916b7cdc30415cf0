"""The layers one by one: each is undone by its inverse, and its gradient is that of the objective.

For each layer a line shows how far its input, recomputed from its output by `inverse` and by `backward`, is from the
true one, and the order at which the objective's first-order Taylor remainder vanishes along a direction of the
parameters: 2 for a right gradient, 1 for a wrong one.

Run it with `python examples/layers.py`. Source: examples/layers of InvertibleNetworks.jl.
"""

import numpy as np

import pyinvnets as inv

rng = np.random.default_rng(1)


def normal(*shape):
    """Gaussian noise in Julia's layout, (nx, ny, n_channels, n_samples), in 64 bits."""
    return np.asfortranarray(rng.standard_normal(shape))


def distance(Z, target):
    """Half the squared distance; its gradient is Z - target."""
    return 0.5 * np.linalg.norm(Z - target) ** 2


def taylor_order(layer, loss):
    """How fast |f(p + h d) - f(p) - h f'(p) d| vanishes with h; `loss` gives f and sets the parameters' gradients."""
    inv.clear_grad(layer)
    f = loss()
    params = inv.get_params(layer)
    values = [p.data.copy(order="F") for p in params]
    directions = [normal(*p.shape) for p in params]
    along = sum(np.sum(p.grad * d) for p, d in zip(params, directions, strict=True))

    remainders = []
    for h in (2.0**-20, 2.0**-21):  # so small that hardly any ReLU changes sides within the step
        inv.set_params(layer, [value + h * d for value, d in zip(values, directions, strict=True)])
        remainders.append(abs(loss() - f - h * along))
    inv.set_params(layer, values)
    return np.log2(remainders[0] / remainders[1])


errors, orders = {}, {}


def report(title, layer, loss, *pairs):
    """Print a line; `pairs` are inputs, and what they were recomputed to be."""
    orders[title] = taylor_order(layer, loss)
    errors[title] = max((np.abs(a - b).max() for a, b in pairs), default=None)
    inverse = f"{errors[title]:.1e}" if pairs else "none"
    print(f"{title:40}{inverse:>16}{orders[title]:>16.2f}")


print(f"{'layer':40}{'inverse is off by':>17}{'Taylor order':>15}")
X, target = normal(6, 6, 8, 2), normal(6, 6, 8, 2)

# Scale and shift each channel, so that the first batch comes out with zero mean and unit variance.
AN = inv.ActNorm(8, logdet=True).astype(np.float64)


def loss():
    Z, lgdet = AN.forward(X)
    AN.backward(Z - target, Z)  # the gradient of the log-determinant is added inside
    return distance(Z, target) - lgdet


Z, lgdet = AN.forward(X)
report("ActNorm", AN, loss, (X, AN.inverse(Z)), (X, AN.backward(Z - target, Z)[1]))

# Mix the channels of each pixel by an orthogonal matrix, a product of Householder reflections.
C = inv.Conv1x1(8, seed=1).astype(np.float64)


def loss():
    Z = C.forward(X)
    C.backward(Z - target, Z)
    return distance(Z, target)


Z = C.forward(X)
report("Conv1x1", C, loss, (X, C.inverse(Z)), (X, C.backward(Z - target, Z)[1]))

# GLOW: half of the channels, through a residual block, scale and shift the other half.
G = inv.CouplingLayerGlow(8, 16, logdet=True, seed=1).astype(np.float64)


def loss():
    Z, lgdet = G.forward(X)
    G.backward(Z - target, Z)
    return distance(Z, target) - lgdet


Z, lgdet = G.forward(X)
report("CouplingLayerGlow", G, loss, (X, G.inverse(Z)), (X, G.backward(Z - target, Z)[1]))

# HINT: couplings within each half of the channels too, so that the Jacobian is a denser triangle.
H = inv.CouplingLayerHINT(4, 16, logdet=True, permute="full", seed=1).astype(np.float64)
X4, target4 = X[:, :, :4], target[:, :, :4]


def loss():
    Z, lgdet = H.forward(X4)
    H.backward(Z - target4, Z)
    return distance(Z, target4) - lgdet


Z, lgdet = H.forward(X4)
report("CouplingLayerHINT", H, loss, (X4, H.inverse(Z)), (X4, H.backward(Z - target4, Z)[1]))

# i-RIM: half of the channels shift the other half, between a 1x1 convolution and its inverse; volumes stay.
R = inv.CouplingLayerIRIM(8, 16, seed=1).astype(np.float64)


def loss():
    Z = R.forward(X)
    R.backward(Z - target, Z)
    return distance(Z, target)


Z = R.forward(X)
report("CouplingLayerIRIM", R, loss, (X, R.inverse(Z)), (X, R.backward(Z - target, Z)[1]))

# Hyperbolic: a step of the telegraph equation on two states; action=-1 halves the images, and makes channels of them.
L = inv.HyperbolicLayer(8, 3, 1, 1, action=-1, alpha=0.1, n_hidden=6, seed=1).astype(np.float64)
X_prev, X_curr = normal(6, 6, 8, 2), X
target_new = normal(3, 3, 32, 2)


def loss():
    Y_curr, Y_new = L.forward(X_prev, X_curr)
    L.backward(0 * Y_curr, Y_new - target_new, Y_curr, Y_new)
    return distance(Y_new, target_new)


Y_curr, Y_new = L.forward(X_prev, X_curr)
X_prev_again, X_curr_again = L.inverse(Y_curr, Y_new)
report("HyperbolicLayer", L, loss, (X_prev, X_prev_again), (X_curr, X_curr_again))

# Conditional GLOW: the residual block sees an image beside, the condition.
CG = inv.ConditionalLayerGlow(8, 3, 16, logdet=True, seed=1).astype(np.float64)
condition = normal(6, 6, 3, 2)


def loss():
    Z, lgdet = CG.forward(X, condition)
    CG.backward(Z - target, Z, condition)
    return distance(Z, target) - lgdet


Z, lgdet = CG.forward(X, condition)
X_again, X_recomputed = CG.inverse(Z, condition), CG.backward(Z - target, Z, condition)[1]
report("ConditionalLayerGlow", CG, loss, (X, X_again), (X, X_recomputed))

# Conditional HINT: two arrays, of which Y goes its way alone and conditions X.
CH = inv.ConditionalLayerHINT(4, 16, seed=1).astype(np.float64)
Y4 = normal(6, 6, 4, 2)


def loss():
    Zx, Zy, lgdet = CH.forward(X4, Y4)
    CH.backward(Zx - target4, Zy - target4, Zx, Zy)
    return distance(Zx, target4) + distance(Zy, target4) - lgdet


Zx, Zy, lgdet = CH.forward(X4, Y4)
X_again, Y_again = CH.inverse(Zx, Zy)
report("ConditionalLayerHINT", CH, loss, (X4, X_again), (Y4, Y_again), (Y4, CH.inverse_Y(CH.forward_Y(Y4))))

# Residual blocks, which the layers above are made of, have no inverse: backward takes their input.
for title, block, images in (
    ("ResidualBlock", inv.ResidualBlock(8, 16, seed=1), X),
    ("ResidualBlock on 3-D images", inv.ResidualBlock(2, 4, k2=3, p2=1, ndims=3, seed=1), normal(4, 4, 4, 2, 2)),
):
    block.astype(np.float64)
    observed = normal(*block.forward(images).shape)

    def loss(block=block, images=images, observed=observed):
        predicted = block.forward(images)
        block.backward(predicted - observed, images)
        return distance(predicted, observed)

    report(title, block, loss)

# A residual block over images and data of another size, each of which changes the other.
CR = inv.ConditionalResidualBlock(6, 6, 8, 5, 4, 3, 16, 2, seed=1).astype(np.float64)
D = normal(5, 4, 3, 2)


def loss():
    Z, D_new = CR.forward(X, D)
    CR.backward(Z - target, 0 * D_new, X, D)
    return distance(Z, target)


report("ConditionalResidualBlock", CR, loss)
