"""What goes through a network, step by step, computed from its arguments alone."""

from __future__ import annotations

from .signature import Signature
from .summary import Step, Summary, kept_elements, summarise


class Outlined:
    """What has a summary."""

    signature: Signature

    def summary(self, input_shape: tuple[int, ...]) -> Summary:
        """The layers with the shapes of what they give, their parameters and their memory, as a table when printed.

        The engine computes nothing, and the network stays as it is: an ActNorm that was never used too.

        Args:
            input_shape: shape of the first argument of `forward`, samples included, since memory grows with them.

        Returns:
            A `pyinvnets.networks.base.summary.Summary`.

        Raises:
            TypeError: it is no tuple of integers.
            ValueError: it is no shape that `forward` takes.

        >>> import pyinvnets as inv
        >>> inv.NetworkGlow(1, 8, 2, 1, engine="numpy").summary((8, 8, 1, 16))
        NetworkGlow(n_in=1, n_hidden=8, L=2, K=1, engine="numpy"), float32
        <BLANKLINE>
        layer              name     output shape   parameters   memory
        input              X        (8, 8, 1, 16)
        ShuffleLayer                (4, 4, 4, 16)
        ActNorm            AN[1,1]  (4, 4, 4, 16)           8     32 B
        CouplingLayerGlow  CL[1,1]  (4, 4, 4, 16)         524  2.0 KiB
        split                       (4, 4, 2, 16)
        ShuffleLayer                (2, 2, 8, 16)
        ActNorm            AN[2,1]  (2, 2, 8, 16)          16     64 B
        CouplingLayerGlow  CL[2,1]  (2, 2, 8, 16)         968  3.8 KiB
        join                        (1024,)
        <BLANKLINE>
        total                                           1,516  5.9 KiB
        <BLANKLINE>
        parameters with gradients: 11.8 KiB
        states in forward and backward, at any depth: 16.0 KiB
        anchors, with a state after every 8 steps: 4.0 KiB
        """
        return summarise(self, input_shape)

    def steps(self, shape: tuple[int, ...]) -> list[Step]:
        """The steps of `forward` for a first input of this shape, for `summary`: one that keeps it, by default."""
        return [Step(type(self).__name__, "", shape, len(self.signature.inputs))]

    def kept_elements(self, shape: tuple[int, ...]) -> int:
        """How many numbers `forward` keeps for `backward`, for a first input of this shape; for `summary`."""
        return kept_elements(self, shape)

    def input_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...] | None]:
        """The shapes of what `forward` takes, from that of the first; `None` where it cannot be known."""
        return dict.fromkeys(self.signature.inputs, shape)

    def state_shapes(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The shapes of the arrays between two steps, from that of the first input."""
        return [known for known in self.input_shapes(shape).values() if known is not None]
