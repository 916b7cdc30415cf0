"""Networks as PyTorch modules, for any PyTorch model, loss and optimiser.

A tensor `(N, C, H, W)` is a network's array `(nx, ny, n_channels, n_samples)` transposed, with W = nx; both are the
same memory. Autograd keeps no activations: `backward` recomputes the states from the outputs by inversion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays.latents import by_sample, from_samples
from .networks.base.density import check_tracked
from .networks.base.layer import Layer
from .networks.base.parameters import clear_grad, get_params, set_params

try:
    import torch
    from torch import Tensor, nn
    from torch.autograd.function import once_differentiable
except ImportError:
    raise ImportError("pyinvnets.torch needs PyTorch; write pip install 'pyinvnets[torch]'") from None


class FlowModule(nn.Module):
    """A network or layer as an `nn.Module`.

    Its parameters are the network's own memory, under the network's names (`CL[1,2].RB.W1`), with axes in PyTorch's
    order: a convolution's weight has PyTorch's shape. So a step of any PyTorch optimiser trains the network, and
    `state_dict`, `load_state_dict`, `double`, `copy.deepcopy` and pickle work as for any module. ActNorm's parameters
    are NaN until the first batch sets them; the optimiser may be made before.

    Gradients come from the network's `backward`: one call of it, or one for each distinct value among the cotangents
    of the log-determinants, which are all the same where a loss takes their mean or sum. The gradients that
    `inv.get_params(network)` show are cleared thereby. Blocks that HINT uses more than once have upstream's gradient;
    see `CouplingLayerHINT`. There is no second derivative, and to change a parameter between forward and backward is
    the error that it is in PyTorch. `train` and `eval` change nothing.

    On the NumPy engine the flow's threads are those of NumPy's library, which PyTorch's own slow down on few cores.
    Where PyTorch has little else to do, `torch.set_num_threads(1)` makes training faster.

    Args:
        network: with one lane, two lanes or a condition, over images, on either engine. It is shared, not copied.

    Raises:
        TypeError: the network is not invertible, or takes an operator (`NetworkLoop`).
        ValueError: its data is a flat vector, or it is on a GPU.

    >>> import pyinvnets as inv, torch
    >>> flow = FlowModule(inv.NetworkGlow(2, 16, 1, 10, engine="numpy", seed=1))
    >>> optimiser = torch.optim.Adam(flow.parameters(), 9e-4)
    >>> x = torch.from_numpy(inv.sample_banana(150, seed=1, engine="numpy").T)
    >>> loss = -flow.log_prob(x).mean()
    >>> loss.backward()
    >>> optimiser.step()
    >>> flow.sample((500,)).shape
    torch.Size([500, 2, 1, 1])
    """

    def __init__(self, network: Layer) -> None:
        if not isinstance(network, Layer) or not network.signature.invertible:
            raise TypeError(f"FlowModule: expected an invertible network or layer, got {network!r}")
        if network.signature.data.vector:
            raise ValueError(f"FlowModule: expected a network over images, got one over flat vectors, {network!r}")
        if network.on_gpu:
            raise ValueError("FlowModule computes on the CPU, and the network is on the GPU; write network.cpu()")
        super().__init__()
        self.network = network
        self._conditional = network.signature.condition is not None
        if self._conditional:
            self._names = {"forward": ("x", "c"), "inverse": ("z", "c")}
        elif len(network.signature.inputs) == 2:
            self._names = {"forward": ("x", "y"), "inverse": ("zx", "zy")}
        else:
            self._names = {"forward": ("x",), "inverse": ("z",)}
        self._places: list[tuple[dict[str, nn.Parameter | None], str]] = []
        for p in get_params(network):
            *path, leaf = p.name.split(".")
            part: nn.Module = self
            for name in path:
                if name not in part._modules:
                    part.add_module(name, nn.Module())
                part = part._modules[name]
            part.register_parameter(leaf, nn.Parameter(torch.empty(0)))
            self._places.append((part._parameters, leaf))
        self._take()
        self.register_load_state_dict_post_hook(_give)

    # Propagation

    def forward(self, *inputs: Tensor) -> Any:
        """From data to latent. The first batch sets ActNorm.

        Args:
            inputs: `x`, shape `(N, C, H, W)` (or with one or three spatial axes), of the module's dtype, on the CPU;
                of a network with two lanes `x, y`; of a conditional one `x, c`, with a condition for each sample or
                one for all.

        Returns:
            `(z, logdet)`, or `(zx, zy, logdet)`. A row of `z` is a sample's latent: an image, or a vector of all its
            elements where the network splits scales. `logdet` has shape `(N,)`. Where the network does not track the
            log-determinant (`logdet=False`) it is left out: `z`, or `(zx, zy)`.

        Raises:
            TypeError: an input is no tensor of the module's dtype on the CPU, or there are too many or too few.
            ValueError: a wrong shape, or ActNorm cannot be initialised from the batch.
            RuntimeError: a parameter was replaced by another tensor.
        """
        inputs = self._checked("forward", inputs)
        arrays = self._arrays(inputs)
        if self._waiting:
            self._initialise(arrays)
        results = _Propagation.apply(self, *inputs, *self._own())
        return results[0] if len(results) == 1 else results

    def log_prob(self, *inputs: Tensor) -> Tensor:
        """Log-density of each sample, shape `(N,)`, in nats, the Gaussian's constant included: of both lanes together,
        or of `x` given `c`.

        Args:
            inputs: as `forward` takes them.

        Raises:
            TypeError, ValueError, RuntimeError: as `forward`; ValueError also where the network keeps no
                log-determinant.
        """
        check_tracked(self.network, f"{self._title}.log_prob")
        *latents, result = self(*inputs)
        for z in latents:
            rows = z.flatten(1)
            result = result - (rows * rows).sum(1) / 2 - rows.shape[1] * math.log(2 * math.pi) / 2
        return result

    def inverse(self, *latents: Tensor) -> Any:
        """From latent to data, without gradient.

        Args:
            latents: `z`, or `zx, zy`, as `forward` returns them; of a conditional network `z, c`, with `c` as
                `forward` takes it.

        Returns:
            `x`, or `(x, y)`.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised, or where the image
                size that a vector belongs to is not known.
            RuntimeError: as `forward`; also where a latent asks for its gradient. `FlowModule(inv.reverse(network))`
                has it, for the networks that `inv.reverse` takes.
        """
        if torch.is_grad_enabled() and any(isinstance(z, Tensor) and z.requires_grad for z in latents):
            raise RuntimeError(f"{self._title}.inverse has no gradient; write z.detach(), or use torch.no_grad()")
        tensors = self._checked("inverse", latents)
        self._own()
        network, count = self.network, len(self.network.signature.latents)
        title = f"{self._title}.inverse"
        network.check_initialised(title)
        condition, size = (), network.spatial
        if self._conditional:
            takes = (network.signature.condition,)
            (C,) = network.checked(f"{title}, transposed", takes, {"c": _array(tensors[-1])})
            condition, size = (network.condition_for_inverse(C),), C.shape[:-2]
        if self._by_sample:
            self._check_vectors(title, tensors[:count], size)
        Z = [self._latent(z, size) for z in tensors[:count]]
        results = network.inverse(*Z, *condition)
        return tuple(map(_tensor, results)) if isinstance(results, tuple) else _tensor(results)

    @torch.no_grad()
    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        condition: Tensor | None = None,
        *,
        spatial: tuple[int, ...] | None = None,
    ) -> Any:
        """Samples, without gradient; `torch.manual_seed` determines them.

        Args:
            sample_shape: how many, in one axis or several.
            condition: of a conditional network, shape `(B, C, H, W)`.
            spatial: image size `(H, W)`, by default that of the last batch; a condition has its own.

        Returns:
            Shape `(*sample_shape, C, H, W)`; with a condition `(*sample_shape, B, C, H, W)`, where `[..., i, :, :, :]`
            are given condition `i`. Of a network with two lanes, `(x, y)`.

        Raises:
            TypeError, ValueError: an argument is missing, unfit or out of range, the image size is not known, or
                ActNorm was never initialised.
        """
        shape = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        n, network = math.prod(shape), self.network
        self._own()
        options = {"seed": int(torch.randint(2**63 - 1, ()))}
        if self._conditional != (condition is not None) or (self._conditional and spatial is not None):
            takes = "a condition, which has the image size" if self._conditional else "no condition"
            raise TypeError(f"{self._title}.sample takes {takes}")
        if condition is None:
            results = network.sample(n, spatial=None if spatial is None else tuple(spatial)[::-1], **options)
        else:
            _check_tensor(f"{self._title}.sample", "condition", condition, self._dtype)
            shape = (*shape, len(condition))
            if len(condition) > 1:
                condition = condition.repeat(n, *[1] * (condition.ndim - 1))
            results = network.sample(math.prod(shape), _array(condition.contiguous()), **options)
        results = results if isinstance(results, tuple) else (results,)
        samples = [_tensor(X).view(*shape, *X.shape[-2::-1]) for X in results]
        return samples[0] if len(samples) == 1 else tuple(samples)

    # Checks, and from tensors to arrays

    def _checked(self, method: str, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The tensors in contiguous memory, and a condition for each sample."""
        title, names = f"{self._title}.{method}", self._names[method]
        if len(tensors) != len(names):
            raise TypeError(f"{title} takes {', '.join(names)}, got {len(tensors)} arguments")
        for name, tensor in zip(names, tensors, strict=True):
            _check_tensor(title, name, tensor, self._dtype)
        if self._conditional and tensors[1].shape[:1] == (1,):
            first, condition = tensors
            tensors = first, condition.expand(len(first), *condition.shape[1:])
        return tuple(tensor.contiguous() for tensor in tensors)

    def _arrays(self, inputs: tuple[Tensor, ...]) -> tuple[np.ndarray, ...]:
        """The inputs as the network takes them, with its own checks of their shapes."""
        network = self.network
        specs = (*network.signature.inputs.values(), *((network.signature.condition,) if self._conditional else ()))
        arrays = dict(zip(self._names["forward"], map(_array, inputs), strict=True))
        return network.checked(f"{self._title}.forward, transposed", specs, arrays)

    def _check_vectors(self, title: str, vectors: Sequence[Tensor], size: tuple[int, ...] | None) -> None:
        if size is None:
            raise ValueError(
                f"{title}: the image size is not known yet; set flow.network.spatial = (W, H), or call forward"
            )
        elements = self.network.signature.latent.channels * math.prod(size)
        for z in vectors:
            if z.ndim != 2 or z.shape[1] != elements:
                raise ValueError(f"{title}: z must have shape (N, {elements}), got {tuple(z.shape)}")

    @property
    def _by_sample(self) -> bool:
        """Whether the network's latent has no axis of samples, and rows of elements stand for it."""
        return self.network.signature.latent.vector or self.network.signature.splits > 0

    def _rows(self, Z: np.ndarray, samples: int) -> Tensor:
        """A latent as a tensor with a row for each sample."""
        return _tensor(by_sample(Z, samples, self.network.signature.splits) if self._by_sample else Z)

    def _latent(self, rows: Tensor, size: tuple[int, ...]) -> np.ndarray:
        """The inverse of `_rows`, for data of image size `size`."""
        if not self._by_sample:
            return _array(rows)
        flat, space = from_samples(_array(rows), self.network.signature.splits), self.network.signature.latent
        return flat if space.vector else flat.reshape((*size, space.channels, len(rows)), order="F")

    # Parameters

    @property
    def _dtype(self) -> torch.dtype:
        return getattr(torch, self.network.dtype.name)

    @property
    def _title(self) -> str:
        return f"FlowModule({self.network.title})"

    def _initialise(self, arrays: tuple[np.ndarray, ...]) -> None:
        """Let the first batch set ActNorm, unless that was done past the module."""
        if not self.network.initialised:
            self.network.forward(*arrays)
        self._take()

    def _take(self) -> None:
        """Make each parameter the network's memory, or NaN where ActNorm has none yet."""
        values = [p.data for p in get_params(self.network)]
        shapes = [p.shape[::-1] for p in get_params(self.network)]
        with torch.inference_mode(False):
            for (parameters, leaf), value, shape in zip(self._places, values, shapes, strict=True):
                unset = value is None
                parameters[leaf].data = torch.full(shape, math.nan, dtype=self._dtype) if unset else _tensor(value)
        self._addresses = [parameters[leaf].data_ptr() for parameters, leaf in self._places]
        self._taken_dtype = self._dtype
        self._waiting = any(value is None for value in values)

    def _own(self) -> list[nn.Parameter]:
        """The parameters, which must still be the network's memory."""
        if self._taken_dtype != self._dtype:
            self._take()
        tensors = [parameters.get(leaf) for parameters, leaf in self._places]
        for tensor, address, p in zip(tensors, self._addresses, get_params(self.network), strict=True):
            if tensor is None or tensor.data_ptr() != address:
                raise RuntimeError(
                    f"{self._title}: {p.name} was replaced by another tensor, but the network computes in its own "
                    "memory; copy values in, such as with load_state_dict or param.data.copy_(…)"
                )
        return tensors

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FlowModule:
        probe = fn(torch.empty(0, dtype=self._dtype))
        if probe.device.type != "cpu" or probe.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"{self._title} computes on the CPU, in float32 or float64; it cannot be moved to {probe.device}, "
                f"{probe.dtype}"
            )
        super()._apply(fn, recurse)
        self.network.astype(str(probe.dtype).removeprefix("torch."))
        _give(self)
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        _give(self)

    def __repr__(self) -> str:
        return f"FlowModule({self.network!r})"


def _give(module: FlowModule, *unused: Any) -> None:
    """Let the network have the parameters' values, in its memory."""
    values = [_array(parameters[leaf]) for parameters, leaf in module._places]
    set_params(
        module.network,
        [
            None if p.lazy and np.isnan(value).all() else value
            for p, value in zip(get_params(module.network), values, strict=True)
        ],
    )
    module._take()


class _Propagation(torch.autograd.Function):
    """Forward through a network, and backward by its own `backward`."""

    @staticmethod
    def forward(ctx: Any, module: FlowModule, *tensors: Tensor) -> tuple[Tensor, ...]:
        network, signature = module.network, module.network.signature
        inputs = tensors[: len(module._names["forward"])]
        parameters, arrays = tensors[len(inputs) :], tuple(map(_array, inputs))
        if signature.no_density is None:
            *results, logdet = network.forward_by_sample(*arrays)
            logdets = (torch.from_numpy(logdet).to(module._dtype),)
        else:
            results, logdets = network.forward(*arrays), ()
            results = results if isinstance(results, tuple) else (results,)
        count = len(signature.latents)
        latents = [module._rows(Z, len(inputs[0])) for Z in results[:count]]
        # What `backward` needs of the condition: as `forward` gives it, and as it came.
        conditions = [*map(_tensor, results[count:]), *inputs[1:]] if module._conditional else []
        ctx.module, ctx.size, ctx.shapes = module, network.spatial, [tensor.shape for tensor in inputs]
        ctx.counts = len(latents), len(conditions)
        ctx.save_for_backward(*latents, *conditions, *parameters)
        return (*latents, *logdets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        module, (latents, conditions) = ctx.module, ctx.counts
        saved, parameters = ctx.saved_tensors[: latents + conditions], ctx.saved_tensors[latents + conditions :]
        deltas = [delta.contiguous() for delta in cotangents[:latents]]
        # Weights count only where `backward` has the gradient of the log-determinant; elsewhere one value will do.
        weights = cotangents[-1] if len(cotangents) > latents else deltas[0].new_zeros(len(deltas[0]))
        if module.network.signature.keeps_volume:
            weights = torch.zeros_like(weights)
        values, group = weights.unique(return_inverse=True)
        if len(values) == 1:
            return (None, *_pull_back(module, ctx.size, values.item(), deltas, saved))
        totals = [*map(weights.new_zeros, ctx.shapes), *map(torch.zeros_like, parameters)]
        for k, weight in enumerate(values.tolist()):
            rows = group == k
            of_rows = [delta[rows] for delta in deltas]
            if weight == 0 and not any(delta.any() for delta in of_rows):
                continue
            gradients = _pull_back(module, ctx.size, weight, of_rows, [tensor[rows] for tensor in saved])
            for i, gradient in enumerate(gradients):
                if i < len(ctx.shapes):
                    totals[i][rows] = gradient
                elif gradient is not None:
                    totals[i] += gradient
        return (None, *totals)


def _pull_back(
    module: FlowModule, size: tuple[int, ...] | None, weight: float, deltas: Sequence[Tensor], saved: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradients of `sum(deltas * latents) + weight * sum(logdet)` in the inputs and the parameters.

    The network's `backward` gives those of `sum(deltas * latents) - mean(logdet)`. It is called for deltas divided by
    `scale`, and its results are multiplied by it. Where the weight is zero, any scale will do that is so small that
    the log-determinant's part vanishes in rounding; it is as small as the range of the numbers has room for.
    """
    network, limits = module.network, torch.finfo(module._dtype)
    largest = max(float(delta.abs().max()) for delta in deltas)
    least = max(largest * limits.tiny**0.5, limits.tiny) if largest else 0.0
    scale = -weight * len(deltas[0])
    if not abs(scale) > least:
        scale = least
    latents, conditions = saved[: len(deltas)], saved[len(deltas) :]
    if network.signature.flat:
        network.spatial = size  # of this forward; another may have come after it
    arrays = [module._latent(z, size) for z in (*(delta / (scale or 1.0) for delta in deltas), *latents)]
    clear_grad(network)
    d_latents, latents = arrays[: len(deltas)], arrays[len(deltas) :]
    of_forward, given = conditions[:-1], conditions[-1:]
    d_inputs = network.pull_back(
        tuple(d_latents), tuple(latents), tuple(map(_array, of_forward)), (None, *map(_array, given))
    )
    gradients = [*d_inputs, *(p.grad for p in get_params(network))]
    scaled = [None if gradient is None else _tensor(gradient * scale) for gradient in gradients]
    clear_grad(network)
    return scaled


def _check_tensor(title: str, name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{title}: {name} must be a tensor, got {type(tensor).__name__}; write torch.as_tensor({name})")
    if tensor.device.type != "cpu":
        raise TypeError(
            f"{title}: {name} is on {tensor.device}, but the network computes on the CPU; write {name}.cpu()"
        )
    if tensor.dtype != dtype:
        raise TypeError(
            f"{title}: {name} must be {dtype}, as the parameters are, got {tensor.dtype}; write {name}.to({dtype}), or "
            "convert the module once with .to(…)"
        )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().T


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.T))
