"""A network or layer as a PyTorch module."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..networks.base.conditional import ConditionalFlow
from ..networks.base.density import check_tracked
from ..networks.base.layer import Layer
from ..networks.base.parameters import get_params, set_params
from ..networks.reverse import reverse
from .graphs import outside_graphs
from .propagation import latents_of, propagated
from .ranks import first_forward
from .sampling import Sampling
from .tensors import array, check_batch, check_condition_size, check_shapes, check_type, tensor


class FlowModule(Sampling, nn.Module):
    """A network or layer as an `nn.Module`.

    Its parameters are the network's own memory, under the network's names (`CL[1,2].RB.W1`), with axes in PyTorch's
    order: a convolution's weight has PyTorch's shape. So a step of any PyTorch optimiser trains the network, and
    `state_dict`, `load_state_dict`, `double`, `copy.deepcopy` and pickle work as for any module. ActNorm's parameters
    are NaN until the first batch sets them; the optimiser may be made before.

    Gradients come from the network's `backward`: one call of it, or one for each distinct value among the cotangents
    of the log-determinants, which are all the same where a loss takes their mean or sum. The gradients that
    `inv.get_params(network)` show are cleared thereby. Blocks that HINT uses more than once have upstream's gradient;
    see `CouplingLayerHINT`. There is no second derivative: to ask for one is a RuntimeError. To change a parameter
    between forward and backward is the error that it is in PyTorch. `train` and `eval` change nothing. `torch.compile`
    takes a model that contains a module, and breaks its graph there; `torch.export` and `torch.jit.trace` are refused.

    Where `torch.distributed` has several processes, such as under `DistributedDataParallel`, ActNorm is set from their
    first batches together, so that all have the same: each must then call the module with its own. To set it in one
    process without the others, call `network.forward` before.

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
        self._reversed: Layer | None = None
        self._conditional = network.signature.condition is not None
        if self._conditional:
            self._names = {"forward": ("x", "c"), "inverse": ("z", "c")}
        elif len(network.signature.inputs) == 2:
            self._names = {"forward": ("x", "y"), "inverse": ("zx", "zy")}
        else:
            self._names = {"forward": ("x",), "inverse": ("z",)}
        self._places: list[tuple[nn.Module, str]] = []
        for p in get_params(network):
            *path, leaf = p.name.split(".")
            part: nn.Module = self
            for name in path:
                if name not in part._modules:
                    part.add_module(name, nn.Module())
                part = part._modules[name]
            part.register_parameter(leaf, nn.Parameter(torch.empty(0)))
            self._places.append((part, leaf))
        self._take()
        self.register_load_state_dict_post_hook(_give)

    # Propagation

    @outside_graphs
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
            self._initialise(self.network, arrays)
        results = propagated(self.network, None, inputs, self._own())
        return results[0] if len(results) == 1 else results

    @outside_graphs
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

    @outside_graphs
    def inverse(self, *latents: Tensor) -> Any:
        """From latent to data, with gradients in the latents, the condition and the parameters, unless under
        `torch.no_grad()`.

        Args:
            latents: `z`, or `zx, zy`, as `forward` returns them; of a conditional network `z, c`, with `c` as
                `forward` takes it.

        Returns:
            `x`, or `(x, y)`.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised, or where the image
                size that a vector belongs to is not known.
            RuntimeError: as `forward`.
        """
        tensors = self._checked("inverse", latents)
        own = self._own()
        network, title = self.network, f"{self._title}.inverse"
        network.check_initialised(title)
        named = dict(zip(self._names["inverse"], tensors, strict=True))
        given = {name: named[name] for name in named if name == "c"}
        latent = {name: named[name] for name in named if name != "c"}
        check_shapes(title, given, [network.signature.condition] if given else [])
        size = tuple(given["c"].shape[:1:-1]) if given else network.spatial
        side = latents_of(network)
        if side.is_rows:
            self._check_vectors(title, latent, size)
        else:
            check_shapes(title, latent, [*network.signature.latents.values()])
        self._check_together(title, named)
        asked = [t for t in (*tensors, *own) if t.requires_grad] if torch.is_grad_enabled() else []
        if asked and (self._reversible or any(t.requires_grad for t in tensors)):
            results = propagated(self._backwards, size, tensors, own)[: len(latent)]
            return results[0] if len(results) == 1 else results
        condition = (network.condition_for_inverse(array(c)) for c in given.values())
        results = network.inverse(*(side.array(z, size) for z in latent.values()), *condition)
        return tuple(map(tensor, results)) if isinstance(results, tuple) else tensor(results)

    @property
    def _reversible(self) -> bool:
        """Whether the inverse has gradients: a network of a user's own need not have them."""
        try:
            return self._backwards is not None
        except ValueError:
            return False

    @property
    def _backwards(self) -> Layer:
        """The network run the other way, with the same parameters."""
        if self._reversed is None:
            self._reversed = reverse(self.network, copy=False)
        return self._reversed

    # Checks, and from tensors to arrays

    def _checked(self, method: str, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The tensors in contiguous memory, and a condition for each sample."""
        title, names = f"{self._title}.{method}", self._names[method]
        if len(tensors) != len(names):
            raise TypeError(f"{title} takes {', '.join(names)}, got {len(tensors)} arguments")
        for name, given in zip(names, tensors, strict=True):
            check_type(title, name, given, self._dtype)
        if self._conditional and tensors[1].shape[:1] == (1,):
            first, condition = tensors
            tensors = first, condition.expand(len(first), *condition.shape[1:])
        return tuple(given.contiguous() for given in tensors)

    def _arrays(self, inputs: tuple[Tensor, ...]) -> tuple[np.ndarray, ...]:
        """The inputs as the network takes them."""
        network, title = self.network, f"{self._title}.forward"
        specs = (*network.signature.inputs.values(), *((network.signature.condition,) if self._conditional else ()))
        named = dict(zip(self._names["forward"], inputs, strict=True))
        check_shapes(title, named, specs)
        self._check_together(title, named)
        return network.checked(f"{title}, transposed", specs, {name: array(given) for name, given in named.items()})

    def _check_together(self, title: str, named: dict[str, Tensor]) -> None:
        check_batch(title, named, alike=not self._conditional)
        network, first = self.network, next(iter(named))
        if isinstance(network, ConditionalFlow) and network.condition_has_datas_size and named[first].ndim > 2:
            check_condition_size(title, "c", named["c"], first, named[first])

    def _check_vectors(self, title: str, vectors: dict[str, Tensor], size: tuple[int, ...] | None) -> None:
        if size is None:
            raise ValueError(
                f"{title}: the image size is not known yet; set flow.network.spatial = (W, H), or call forward"
            )
        elements = self.network.signature.latent.channels * math.prod(size)
        for name, z in vectors.items():
            if z.ndim != 2 or z.shape[1] != elements:
                raise ValueError(f"{title}: {name} must have shape (N, {elements}), got {tuple(z.shape)}")

    # Parameters

    @property
    def _dtype(self) -> torch.dtype:
        return getattr(torch, self.network.dtype.name)

    @property
    def _title(self) -> str:
        return f"FlowModule({self.network.title})"

    def _initialise(self, network: Layer, arrays: tuple[np.ndarray, ...]) -> None:
        """Let the first batch set ActNorm, in this direction, unless that was done past the module."""
        if not self.network.initialised:
            lazy = [
                getattr(part, leaf)
                for (part, leaf), p in zip(self._places, get_params(self.network), strict=True)
                if p.lazy
            ]
            # Values may have been copied in, such as those of the first process by DistributedDataParallel.
            if not any(value.isnan().all() for value in lazy):
                _give(self)
            else:
                first_forward(network, arrays)
        self._take()

    def _take(self) -> None:
        """Make each parameter the network's memory, or NaN where ActNorm has none yet."""
        values = [p.data for p in get_params(self.network)]
        shapes = [p.shape[::-1] for p in get_params(self.network)]
        with torch.inference_mode(False):
            for (part, leaf), value, shape in zip(self._places, values, shapes, strict=True):
                unset = value is None
                getattr(part, leaf).data = torch.full(shape, math.nan, dtype=self._dtype) if unset else tensor(value)
        self._addresses = [getattr(part, leaf).data_ptr() for part, leaf in self._places]
        self._taken_dtype = self._dtype
        self._waiting = any(value is None for value in values)

    def _own(self) -> list[nn.Parameter]:
        """The parameters, which must still be the network's memory."""
        if self._taken_dtype != self._dtype:
            self._take()
        own = [getattr(part, leaf, None) for part, leaf in self._places]
        for parameter, address, p in zip(own, self._addresses, get_params(self.network), strict=True):
            if parameter is None or parameter.data_ptr() != address:
                raise RuntimeError(
                    f"{self._title}: {p.name} was replaced by another tensor, but the network computes in its own "
                    "memory; copy values in, such as with load_state_dict or param.data.copy_(…)"
                )
        return own

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FlowModule:
        probe = fn(torch.empty(0, dtype=self._dtype))
        if probe.device.type != "cpu" or probe.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"{self._title} computes on the CPU, in float32 or float64; it cannot be moved to {probe.device}, "
                f"{probe.dtype}"
            )
        if probe.is_shared():
            raise RuntimeError(
                f"{self._title}: share_memory() is refused: the network's memory cannot be shared between processes, "
                "and each would train a copy of its own; see torch.nn.parallel.DistributedDataParallel"
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
    values = [array(getattr(part, leaf)) for part, leaf in module._places]
    set_params(
        module.network,
        [
            None if p.lazy and np.isnan(value).all() else value
            for p, value in zip(get_params(module.network), values, strict=True)
        ],
    )
    module._take()
