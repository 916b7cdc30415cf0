"""A network in autograd's graph: forward, and backward by the network's own `backward`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from ..arrays.latents import by_sample, from_samples
from ..arrays.spec import ArraySpec
from ..networks.base.layer import Layer
from ..networks.base.parameters import clear_grad, get_params
from .tensors import array, tensor


@dataclass(frozen=True)
class Side:
    """How tensors stand for the arrays on one side of a network, its data or its latents: as they are, or with a row of
    all elements for each sample, where the array has no axis of samples.

    Attributes:
        spec: of the arrays.
        splits: how many times half of a sample's elements left for another part.
    """

    spec: ArraySpec
    splits: int

    @property
    def is_rows(self) -> bool:
        return self.spec.vector or self.splits > 0

    def tensor(self, Z: np.ndarray, samples: int) -> Tensor:
        return tensor(by_sample(Z, samples, self.splits) if self.is_rows else Z)

    def array(self, given: Tensor, size: tuple[int, ...] | None) -> np.ndarray:
        """The inverse of `tensor`, for images of the size `size`."""
        if not self.is_rows:
            return array(given)
        flat = from_samples(array(given), self.splits)
        return flat if self.spec.vector else flat.reshape((*size, self.spec.channels, len(given)), order="F")


def data_of(network: Layer) -> Side:
    return Side(network.signature.data, network.signature.data_splits)


def latents_of(network: Layer) -> Side:
    return Side(network.signature.latent, network.signature.splits)


def arrays_of(network: Layer, size: tuple[int, ...] | None, inputs: Sequence[Tensor]) -> tuple[np.ndarray, ...]:
    """The inputs as the network takes them; `size` is that of the images for which rows among them stand."""
    lanes, data = len(network.signature.inputs), data_of(network)
    if network.signature.data.vector and size is not None:
        network.spatial = size
    return (*(data.array(x, size) for x in inputs[:lanes]), *(array(c.contiguous()) for c in inputs[lanes:]))


@dataclass(frozen=True)
class _Call:
    """One `forward`, for its `backward`.

    Attributes:
        size: image size, which a network over flat vectors forgets at the next batch.
        shapes: of the inputs.
        latents, conditions: how many tensors of each were saved, before the parameters.
        kept: what the network kept of its states, which is held as long as the graph is.
    """

    network: Layer
    size: tuple[int, ...] | None
    shapes: tuple[torch.Size, ...]
    latents: int
    conditions: int
    kept: Any


def propagated(
    network: Layer, size: tuple[int, ...] | None, inputs: Sequence[Tensor], parameters: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """The latents and log-determinants; of states the network keeps none where nobody can ask for gradients."""
    results = Propagation.apply(network, size, len(inputs), *inputs, *parameters)
    if not any(result.requires_grad for result in results):
        network.model.kept = None
    return results


class Propagation(torch.autograd.Function):
    """The latents, and the log-determinant of each sample where the network has a density."""

    @staticmethod
    def forward(
        ctx: Any, network: Layer, size: tuple[int, ...] | None, count: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """`tensors` are the `count` inputs and then the parameters; `size` is that of the images for which rows among
        the inputs stand."""
        signature, inputs, parameters = network.signature, tensors[:count], tensors[count:]
        arrays, lanes = arrays_of(network, size, inputs), len(signature.latents)
        if signature.no_logdet is None:
            *results, logdet = network.forward_by_sample(*arrays)
            logdets = (torch.from_numpy(logdet).to(inputs[0].dtype),)
        else:
            results, logdets = network.forward(*arrays), ()
            results = results if isinstance(results, tuple) else (results,)
        latents = [latents_of(network).tensor(Z, len(inputs[0])) for Z in results[:lanes]]
        # What `backward` needs of the condition: as `forward` gives it, and as it came.
        conditions = [*map(tensor, results[lanes:]), *inputs[1:]] if signature.condition else []
        shapes = tuple(given.shape for given in inputs)
        ctx.call = _Call(network, network.spatial, shapes, len(latents), len(conditions), network.model.kept)
        ctx.save_for_backward(*latents, *conditions, *parameters)
        return (*latents, *logdets)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *_PullBack.apply(ctx.call, len(cotangents), *cotangents, *ctx.saved_tensors)


class _PullBack(torch.autograd.Function):
    """The gradients, as a function of their own: whoever asks for their derivatives comes to its `backward`, and is
    told that there are none. Without it autograd would find no way from the gradients back to the inputs, and
    `torch.autograd.functional.hessian` would take that for zero."""

    @staticmethod
    def forward(ctx: Any, call: _Call, count: int, *tensors: Tensor) -> tuple[Tensor | None, ...]:
        cotangents, saved = tensors[:count], tensors[count:]
        parameters = saved[call.latents + call.conditions :]
        saved = saved[: call.latents + call.conditions]
        deltas = [delta.contiguous() for delta in cotangents[: call.latents]]
        # Weights count only where `backward` has the gradient of the log-determinant; elsewhere one value will do.
        weights = cotangents[-1] if count > call.latents else deltas[0].new_zeros(len(deltas[0]))
        if call.network.signature.keeps_volume:
            weights = torch.zeros_like(weights)
        values, group = weights.unique(return_inverse=True)
        if len(values) == 1:
            return tuple(_pull_back(call, values.item(), deltas, saved))
        totals = [*map(weights.new_zeros, call.shapes), *map(torch.zeros_like, parameters)]
        for k, weight in enumerate(values.tolist()):
            rows = group == k
            of_rows = [delta[rows] for delta in deltas]
            if weight == 0 and not any(delta.any() for delta in of_rows):
                continue
            gradients = _pull_back(call, weight, of_rows, [given[rows] for given in saved])
            for i, gradient in enumerate(gradients):
                if i < len(call.shapes):
                    totals[i][rows] = gradient
                elif gradient is not None:
                    totals[i] += gradient
        return tuple(totals)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> NoReturn:
        raise RuntimeError(
            "FlowModule has no second derivatives, which torch.autograd.functional.hessian or a gradient of gradients "
            "(create_graph=True) asks for; take differences of its gradients instead"
        )


def _pull_back(call: _Call, weight: float, deltas: Sequence[Tensor], saved: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients of `sum(deltas * latents) + weight * sum(logdet)` in the inputs and the parameters.

    The network's `backward` gives those of `sum(deltas * latents) - mean(logdet)`. It is called for deltas divided by
    `scale`, and its results are multiplied by it. Where the weight is zero, any scale will do that is so small that
    the log-determinant's part vanishes in rounding; it is as small as the range of the numbers has room for.
    """
    network, limits = call.network, torch.finfo(deltas[0].dtype)
    largest = max(float(delta.abs().max()) for delta in deltas)
    least = max(largest * limits.tiny**0.5, limits.tiny) if largest else 0.0
    scale = -weight * len(deltas[0])
    if not abs(scale) > least:
        scale = least
    latents, conditions = saved[: len(deltas)], saved[len(deltas) :]
    if network.signature.flat:
        network.spatial = call.size  # of this forward; another may have come after it
    side = latents_of(network)
    arrays = [side.array(z, call.size) for z in (*(delta / (scale or 1.0) for delta in deltas), *latents)]
    clear_grad(network)
    d_latents, latents = arrays[: len(deltas)], arrays[len(deltas) :]
    of_forward, given = conditions[:-1], conditions[-1:]
    d_inputs = network.pull_back(
        tuple(d_latents), tuple(latents), tuple(map(array, of_forward)), (None, *map(array, given))
    )
    lanes, data = len(network.signature.inputs), data_of(network)
    of_data = [data.tensor(gradient * scale, len(deltas[0])) for gradient in d_inputs[:lanes]]
    others = [*d_inputs[lanes:], *(p.grad for p in get_params(network))]
    of_others = [None if gradient is None else tensor(gradient * scale) for gradient in others]
    clear_grad(network)
    return [*of_data, *of_others]
