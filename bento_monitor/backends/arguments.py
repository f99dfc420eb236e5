"""Mapping of a call's arguments to named inputs, by the model's own parameter names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ._base import UnboundCallError

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def positional_names(function: Any) -> tuple[str, ...]:
    """Return the names of a function's positional parameters, in order; empty if it has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(parameter.name for parameter in parameters if parameter.kind in _POSITIONAL)


def bind_arguments(names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Name each argument; arguments that are None are left out, as if they had not been given.

    Raises:
        UnboundCallError: there are more positional arguments than `names`, or an argument is given twice.
    """
    if len(args) > len(names):
        raise UnboundCallError(f"The call has {len(args)} positional arguments, but the model takes {len(names)}.")
    inputs = {name: value for name, value in zip(names, args, strict=False) if value is not None}
    for name, value in kwargs.items():
        if name in inputs:
            raise UnboundCallError(f"The argument {name} is given twice.")
        if value is not None:
            inputs[name] = value
    return inputs
