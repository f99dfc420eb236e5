"""The user's torch module: eager, compiled or TorchScript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..arguments import positional_names
from ._base import ModelKind

_PRECISIONS = {"torch.float32": "fp32", "torch.bfloat16": "bf16", "torch.float16": "fp16", "torch.float64": "fp64"}


class OwnModule:
    """The user's torch module, which is called directly."""

    kind: ModelKind = "torch"
    backend = "torch"
    methods: tuple[str, ...] = ()

    def __init__(self, module: Any) -> None:
        self.model = module
        self.parameter = parameter = next(iter(module.parameters()), None)
        self.precision = "fp32" if parameter is None else _PRECISIONS.get(str(parameter.dtype), str(parameter.dtype))
        self.names = _forward_names(module)

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Call the module."""
        assert method is None
        return self.model(*args, **kwargs)


def _forward_names(module: Any) -> tuple[str, ...]:
    """Return the names of `forward`'s positional parameters.

    TorchScript keeps the names in a schema; a module compiled by `torch.compile` has those of the original module.
    """
    while type(module).__name__ == "OptimizedModule":
        module = module._orig_mod  # noqa: SLF001
    forward = getattr(module, "forward", None)  # a TorchScript module may have none
    schema = getattr(forward, "schema", None)
    if schema is None:
        return positional_names(forward)
    return tuple(argument.name for argument in schema.arguments[1:] if not argument.kwarg_only)
