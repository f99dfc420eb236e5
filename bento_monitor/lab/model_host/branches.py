"""Detection of data-dependent control flow in a torch module, with the lines that cause it.

Tracing keeps the path of one call. `torch.export` refuses branches on data, so a module that it accepts has none
(measured on torch 2.13: it refuses `if x.sum() > 0`, `.item()` in a comparison, `while` and `torch.equal` in strict and
non-strict mode, an assertion on data and `float(x.mean())` in non-strict mode only). A module that it refuses runs
under a `TorchFunctionMode` that sees each conversion of a tensor to a Python value.

The tracer's own warnings are not enough: it does not warn of `torch.equal` and `torch.allclose`.
"""

from __future__ import annotations

import inspect
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...releases.release_record import TensorSpec
from .export_record import AxisLimit

_CONVERSIONS = ("__bool__", "__int__", "__float__", "__index__", "__complex__", "__array__", "item", "tolist", "numpy")
_COMPARISONS = ("equal", "allclose", "is_nonzero")
_TO_PYTHON = frozenset((*_CONVERSIONS, *_COMPARISONS))
_LARGEST_LIMIT = 2**14


@dataclass(frozen=True, slots=True)
class ValueRead:
    """A conversion of a tensor to a Python value: the function, the file and line, and whether the value is a bool."""

    function: str
    line: str
    is_decision: bool


@dataclass(frozen=True, slots=True)
class Flow:
    """Control flow of a module; `is_independent` if no input value affects the path, else `readings` are the causes."""

    is_independent: bool
    readings: tuple[ValueRead, ...] = ()
    limits: tuple[AxisLimit, ...] = ()


def control_flow(module: Any, tensors: tuple[Any, ...], inputs: Sequence[TensorSpec]) -> Flow:
    """Return the control flow of a module `(*tensors) -> tensors`, as `flat_module` creates."""
    import torch

    automatic = torch.export.Dim.AUTO
    shapes = tuple({axis: automatic for axis, size in enumerate(spec.shape) if size is None} for spec in inputs)
    for is_strict in (False, True):
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module, tensors, dynamic_shapes=(shapes,), strict=is_strict)
            return Flow(is_independent=True, limits=_limits(program, inputs))
    readings = read_values(module, tensors)
    return Flow(is_independent=not readings, readings=readings)


def read_values(module: Any, tensors: tuple[Any, ...]) -> tuple[ValueRead, ...]:
    """Return each place, once, at which a call of the module converts a tensor to a Python value."""
    found: dict[ValueRead, None] = {}
    _watched(module, tensors, lambda reading, value: (found.setdefault(reading), value)[1])
    return tuple(found)


def call_with_other_branch(module: Any, tensors: tuple[Any, ...], reading: ValueRead) -> Any:
    """Return the module's output with every decision at one line inverted; raise what the module raises."""
    return _watched(module, tensors, lambda seen, value: not value if seen == reading else value)


def place_of(filename: str, line: int) -> str:
    """Return `file:line` for messages: the name of the file, or its path within site-packages for a library's."""
    path = Path(filename)
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    for library in libraries:
        if path.is_relative_to(library):
            return f"{path.relative_to(library).as_posix()}:{line}"
    return f"{path.name}:{line}"


def _watched(module: Any, tensors: tuple[Any, ...], on_value: Callable[[ValueRead, Any], Any]) -> Any:
    import torch
    from torch.overrides import TorchFunctionMode

    own = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())}

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            value = function(*args, **(kwargs or {}))
            name = getattr(function, "__name__", "")
            tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
            # Weights decide the same in every call.
            if name not in _TO_PYTHON or all(tensor.untyped_storage().data_ptr() in own for tensor in tensors):
                return value
            return on_value(ValueRead(name, _caller(), isinstance(value, bool)), value)

    with torch.no_grad(), Watch():
        return module(*tensors)


def _caller() -> str:
    """Return the line that converts a tensor: the nearest caller that is neither in torch nor in this file."""
    own = (str(Path(sys.modules["torch"].__file__ or "").parent), __file__)
    for frame, line in traceback.walk_stack(inspect.currentframe()):
        if not frame.f_code.co_filename.startswith(own):
            return place_of(frame.f_code.co_filename, line)
    return "torch"


def _limits(program: Any, inputs: Sequence[TensorSpec]) -> tuple[AxisLimit, ...]:
    """Return the maximum lengths of the axes for the exported path, for axes that have one."""
    nodes = [node for node in program.graph.nodes if node.op == "placeholder"][-len(inputs) :]
    limits = []
    for spec, node in zip(inputs, nodes, strict=True):
        for axis, length in enumerate(node.meta["val"].shape):
            bounds = program.range_constraints.get(getattr(getattr(length, "node", None), "expr", None))
            with suppress(TypeError, ValueError, AttributeError, OverflowError):
                longest = int(bounds.upper)
                if longest < _LARGEST_LIMIT:
                    limits.append(AxisLimit(spec.name, axis, longest))
    return tuple(limits)
