"""Blocks: layers over one input that are not invertible, of which coupling layers and summaries are made."""

from __future__ import annotations

import numpy as np

from .layer import Layer


class Block(Layer):
    """A layer with one input and one output. It is not invertible."""

    _not_invertible = "it is not invertible"

    def forward(self, X: np.ndarray) -> np.ndarray:
        """The block's output.

        Args:
            X: shape as the class says, of the block's dtype.

        Raises:
            TypeError, ValueError: an array of another dtype or shape.
        """
        return self._run("forward", (self.signature.data,), X=X)

    def backward(self, dY: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Set every parameter's gradient. Unlike an invertible layer's it takes the *input* of `forward`.

        Args:
            dY: gradient with respect to the output, of its shape.
            X: the input of `forward`.

        Returns:
            The gradient with respect to X.

        Raises:
            TypeError, ValueError: an array of another dtype or shape.
        """
        return self._run("backward", (self.signature.latent, self.signature.data), dY=dY, X=X)
