"""Methods that PyTorch's compiler leaves alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


def outside_graphs(method: F) -> F:
    """Let `torch.compile` break its graph at a method, which the network computes; exports are refused."""

    @functools.wraps(method)
    def called(self: Any, *args: Any, **options: Any) -> Any:
        if torch.compiler.is_dynamo_compiling():
            return torch.compiler.disable(method)(self, *args, **options)
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            raise RuntimeError(
                f"{self._title} cannot be exported or traced: its network computes outside of PyTorch. torch.compile "
                "takes a model that contains it; inv.save(flow.network, path) writes it to a file"
            )
        return method(self, *args, **options)

    return called  # type: ignore[return-value]
