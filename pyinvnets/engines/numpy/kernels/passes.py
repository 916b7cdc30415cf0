"""How one call of a network's `backward` runs, handed down to all of its layers and known to nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from .anchors import NO_STATES, NoStates, States
from .params import Gradients


@dataclass(frozen=True, slots=True)
class Pass:
    """One way back through a network.

    Attributes:
        gradients: where the parameters' gradients go.
        samples: the size of the batch, over which log-determinants are averaged.
        logdets: whether log-determinants have a part in the gradients, where a layer tracks them.
        sums_shared: whether all uses of a shared block have a part in its gradient; upstream keeps that of the last.
        states: what `forward` kept of the states that are recomputed.
    """

    gradients: Gradients
    samples: int
    logdets: bool = True
    sums_shared: bool = False
    states: States | NoStates = NO_STATES
