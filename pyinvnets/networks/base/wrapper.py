"""Networks in another form, such as over rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

if TYPE_CHECKING:
    from .layer import Layer

W = TypeVar("W", bound="Wrapper")


class Wrapper:
    """A network in another form. What takes the parameters of a network, or writes it to a file, takes a wrapper too.

    Attributes:
        network: the network, which is shared, not copied.
        takes_rows: whether samples are the rows of its arrays.
    """

    network: Layer
    takes_rows: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        WRAPPERS[cls.__name__] = cls

    @classmethod
    def of(cls: type[W], network: Layer) -> W:
        """The wrapper of a network.

        Raises:
            TypeError, ValueError: it cannot have this form.
        """
        raise NotImplementedError

    def form(self) -> dict[str, Any]:
        """What a file must hold beside the network, as JSON has it."""
        return {}

    @classmethod
    def formed(cls: type[W], network: Layer, form: dict[str, Any]) -> W:
        """The wrapper of a network, with what `form` gave.

        Raises:
            TypeError, ValueError, LookupError: it is not that.
        """
        return cls.of(network)

    @property
    def engine(self) -> str:
        """The name of the network's engine."""
        return self.network.engine

    @property
    def dtype(self) -> np.dtype:
        """float32 until `astype` changes it."""
        return self.network.dtype

    def astype(self: W, dtype: Any) -> W:
        """Convert all parameters, in place, and give the flow back.

        Raises:
            TypeError: the type is neither float32 nor float64.
        """
        self.network.astype(dtype)
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the network's parameters by name."""
        return self.network.state_dict()

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy parameters in by name.

        Raises:
            TypeError, ValueError: as the network's.
        """
        self.network.load_state_dict(state)


WRAPPERS: dict[str, type[Wrapper]] = {}
"""Every declared wrapper by its name."""


def network_of(given: Any) -> Any:
    """The network of a wrapper; anything else as it is."""
    return given.network if isinstance(given, Wrapper) else given
