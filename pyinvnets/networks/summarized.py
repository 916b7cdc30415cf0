"""A conditional network whose condition is a summary, learnt with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays.latents import Array
from ..engines import get_engine
from .base.composite import CompositeModel
from .base.conditional import ConditionalFlow
from .base.density import by_each_sample
from .base.layer import Layer
from .base.shapes import ParameterShape, of_part, within
from .base.summary import Shape, Step
from .compose import Composite, check_alike, first_reason


class SummarizedModel(CompositeModel):
    """A conditional network and the blocks that make its condition."""

    def __init__(self, cond_net: ConditionalFlow, blocks: dict[str, Layer]) -> None:
        super().__init__({"cond_net": cond_net, **blocks})
        self._cond_net, self.blocks = cond_net, blocks

    @property
    def _last(self) -> Layer:
        return self._cond_net

    def reversed(self, reverse: Callable[[Layer], Layer]) -> ReversedSummarizedModel:
        return ReversedSummarizedModel(reverse(self._cond_net), self.blocks)

    def kept_elements(self, shape: Shape) -> int:
        return self._cond_net.kept_elements(shape)

    def states(self, Y: Array) -> list[Array]:
        """The input of each block, and the summary."""
        states = [Y]
        for block in self.blocks.values():
            states.append(block.forward(states[-1]))
        return states

    def forward(self, X: Array, Y: Array) -> tuple[Any, ...]:
        results = self._cond_net.forward(X, self.states(Y)[-1])
        self._keep()
        return results

    def forward_by_sample(self, X: Array, Y: Array, *, keeps: bool = False) -> tuple[Any, ...]:
        title = f"{self._cond_net.title}.forward_by_sample"
        results = by_each_sample(self._cond_net, title, (X, self.states(Y)[-1]), keeps=keeps)
        self._keep()
        return results

    def _keep(self) -> None:
        """The conditional network recognises what it gave by itself."""
        self.kept, self.anchors.size = self._cond_net.model.kept, self._cond_net.model.anchors.size

    def inverse(self, Z: Array, C: Array) -> tuple[Array]:
        return (self._cond_net.inverse(Z, C),)

    def backward(self, *arrays: Array) -> tuple[Array, Array, Array]:
        """Of a gradient, a latent, the condition as `forward` returned it, and what is summarised."""
        *of_network, Y = arrays
        dX, X, dC = self._pulled_back(*of_network)
        return dX, X, self._back(dC, self.states(Y))

    def _pulled_back(self, *arrays: Array) -> tuple[Array, Array, Array]:
        results = self._cond_net.backward(*arrays)
        self.kept, self.anchors.drift = None, self._cond_net.model.anchors.drift
        return results

    def _back(self, delta: Array, states: list[Array]) -> Array:
        """The gradient of what is summarised, from that of the summary."""
        for block, state in zip(reversed(self.blocks.values()), reversed(states[:-1]), strict=True):
            delta = block.backward(delta, state)
        return delta


class ReversedSummarizedModel(SummarizedModel):
    """The same with the reversed conditional network, to which the condition is always the summary."""

    def inverse(self, X: Array, Y: Array) -> tuple[Array]:
        return super().inverse(X, self.states(Y)[-1])

    def backward(self, *arrays: Array) -> tuple[Array, Array, Array]:
        dX, X, Y = arrays
        states = self.states(Y)
        dZ, Z, dC = self._pulled_back(dX, X, states[-1])
        return dZ, Z, self._back(dC, states)


class SummarizedNet(Composite, ConditionalFlow):
    """A conditional network whose condition is a summary of the data `Y`, learnt with it.

    Both parts are shared, not copied. As a density it is that of `X` given `Y`: what `log_prob` and `sample` call the
    condition is `Y`.

    Args:
        cond_net: a `NetworkConditionalGlow`.
        sum_net: a `ResidualBlock`, `UNet`, `EmbeddingBlock` or, on the Julia engine, `FluxBlock`, or several in turn;
            the last output is the condition.

    Arrays: `X` as `cond_net` takes it, `Y` as the first block takes it: of X's spatial size, unless an
    `EmbeddingBlock` brings it there.
    Parameters: `cond_net.…`, then `sum_net.…` (`sum_net[1].…` of several).
    Raises: TypeError, ValueError for parts that do not fit.
    Source: Radev et al. (2020), «BayesFlow: Learning complex stochastic models with invertible neural networks»,
    https://arxiv.org/abs/2003.06281; upstream's implementation.
    """

    upstream = "src/networks/summarized_net.jl"
    condition_has_datas_size = False
    model: SummarizedModel

    def __init__(self, cond_net: ConditionalFlow, sum_net: Layer | Sequence[Layer]) -> None:
        several = isinstance(sum_net, (list, tuple))
        blocks = tuple(sum_net) if several else (sum_net,)
        if not isinstance(cond_net, ConditionalFlow) or not cond_net.returns_condition:
            raise TypeError(
                "SummarizedNet: cond_net must be a conditional network, which gives the condition too, got "
                f"{cond_net!r}"
            )
        if not blocks or not all(map(_summarises, blocks)):
            raise TypeError(
                f"SummarizedNet: sum_net must be a block such as ResidualBlock, UNet or EmbeddingBlock, or several in "
                f"turn, got {sum_net!r}"
            )
        check_alike("SummarizedNet", (cond_net, *blocks))
        of_network = cond_net.signature
        joins = [
            *((a.signature.latent, b.signature.data) for a, b in itertools.pairwise(blocks)),
            (blocks[-1].signature.latent, of_network.condition),
        ]
        for gives, takes in joins:
            if not gives.joins(takes):
                raise ValueError(
                    f"SummarizedNet: a summary of {gives.describe()} goes to what takes {takes.describe()}"
                )
        if several:
            self._declared["sum_net"] = blocks
        names = [f"sum_net[{i}]" for i in range(1, len(blocks) + 1)] if several else ["sum_net"]
        signature = self._described(
            of_network.inputs,
            of_network.latents,
            logdet=of_network.logdet,
            splits=of_network.splits,
            condition=blocks[0].signature.data,
            latent_condition=of_network.latent_condition,
            no_logdet=of_network.no_logdet,
            no_gpu=first_reason((part, part.signature.no_gpu) for part in (cond_net, *blocks)),
        )
        model = SummarizedModel(cond_net, dict(zip(names, blocks, strict=True)))
        self._adopt(get_engine(cond_net.engine), model, signature)

    @staticmethod
    def shapes(cond_net: Any, sum_net: Any) -> Iterator[ParameterShape]:
        yield from within("cond_net", of_part(cond_net))
        if isinstance(sum_net, list):
            for i, block in enumerate(sum_net, 1):
                yield from within(f"sum_net[{i}]", of_part(block))
        else:
            yield from within("sum_net", of_part(sum_net))

    @classmethod
    def make(cls, arguments: Mapping[str, Any], engine: str | None, seed: int | None = None) -> SummarizedNet:
        return cls(**arguments)

    def latent_condition_size(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        return self.arguments["cond_net"].latent_condition_size(spatial)

    def forward(self, X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """From data to latent, given `Y`.

        Args:
            X: data of `cond_net`.
            Y: what is summarised, shape `(nx, [ny, [nz,]] n_channels, n_samples)`.

        Returns:
            As `cond_net.forward` of X and the summary: `(Z, C_, lgdet)`, `C_` being the summary as `inverse` takes it.

        Raises:
            TypeError, ValueError: an array of another dtype or shape. The network is unchanged.
        """
        return self._run("forward", (self.signature.data, self.signature.condition), X=X, Y=Y)

    def backward(
        self, dZ: np.ndarray, Z: np.ndarray, C: np.ndarray, *, Y_save: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Set every parameter's gradient, that of `f(Z) - lgdet`.

        Args:
            dZ: gradient of `f`.
            Z, C: as `forward` returned them.
            Y_save: the `Y` given to `forward`; the summary cannot be inverted.

        Returns:
            `(dX, X, dY)`: the gradient with respect to X, X recomputed, and the gradient with respect to Y.

        Raises:
            TypeError, ValueError: as `inverse`.
        """
        takes = self.signature
        specs = (takes.latent, takes.latent, takes.latent_condition, takes.condition)
        return self._run("backward", specs, dZ=dZ, Z=Z, C=C, Y_save=Y_save)

    def pull_back(
        self, cotangents: tuple[Array, ...], latents: tuple[Array, ...], condition: tuple[Array, ...], inputs: tuple
    ) -> tuple[Array, ...]:
        dX, _, dY = self.backward(*cotangents, *latents, *condition, Y_save=inputs[1])
        return dX, dY

    def condition_for_inverse(self, C: Array) -> Array:
        return self.arguments["cond_net"].condition_for_inverse(self.model.states(C)[-1])

    def size_given(self, size: tuple[int, ...]) -> tuple[int, ...]:
        for block in self.model.blocks.values():
            size = block.signature.latent.spatial or size
        return size

    def input_shapes(self, shape: Shape) -> dict[str, Shape | None]:
        size, channels = shape[:-2], self.signature.condition.channels
        for block in reversed(self.model.blocks.values()):
            size = block.signature.data.spatial or size
        return {"X": shape, "Y": None if channels is None else (*size, channels, shape[-1])}

    def state_shapes(self, shape: Shape) -> list[Shape]:
        return self.arguments["cond_net"].state_shapes(shape)

    def steps(self, shape: Shape) -> list[Step]:
        steps, size = [], (self.input_shapes(shape)["Y"] or shape)[:-2]
        for name, block in self.model.blocks.items():
            steps += [step.within(name) for step in block.steps((*size, block.signature.data.channels, shape[-1]))]
            size = block.signature.latent.spatial or size
        return [*steps, *(step.within("cond_net") for step in self.arguments["cond_net"].steps(shape))]

    def __repr__(self) -> str:
        return f"SummarizedNet({self.arguments['cond_net']!r}, {self.arguments['sum_net']!r})"


def _summarises(block: Any) -> bool:
    return isinstance(block, Layer) and not block.signature.invertible and len(block.signature.inputs) == 1
