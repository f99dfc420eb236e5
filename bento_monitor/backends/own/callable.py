"""The user's function, or any object whose methods compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..arguments import positional_names
from ._base import ModelKind


class OwnCallable:
    """The user's function or object, which is called directly; its content is not inspected."""

    kind: ModelKind = "callable"
    backend = "python"
    precision = "as written"
    parameter = None

    def __init__(self, model: Any, methods: Sequence[str] = ()) -> None:
        self.model = model
        self.methods = tuple(methods)
        only = getattr(model, self.methods[0]) if len(self.methods) == 1 else model
        self.names = positional_names(only) if callable(only) else ()

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Call the object itself, or one of its methods."""
        target = self.model if method is None else getattr(self.model, method)
        return target(*args, **kwargs)
