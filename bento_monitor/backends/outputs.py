"""Flattening a model's output into arrays, and rebuilding the output from arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import InputError
from ..releases.release_bounds import MAX_OUTPUT_DEPTH, is_constant
from ..releases.release_record import OutputForm, OutputNode
from .arrays import is_array, is_torch_tensor, to_numpy, to_torch

_ARRAYS = ("torch", "numpy")
_ADVICE = "Return tensors from the model, and do the rest in the service."


def flatten_output(output: Any) -> tuple[OutputForm, tuple[str, ...], list[Any]]:
    """Return the form of an output, a name for each array in it, and the arrays.

    Tuples, lists, mappings and dataclasses may be nested; other values in them are constants of the form. A name is the
    path to an array: `logits`, or `output_1.0` for the first array of a pair that is the second output.

    Raises:
        InputError: the output holds a value that cannot be a constant, or no array.
    """
    arrays: list[tuple[str, Any]] = []
    root = _flatten(output, "", arrays, MAX_OUTPUT_DEPTH)
    if not arrays:
        raise InputError(
            f"The model returns a {type(output).__name__} without a tensor: only tensors can be optimized."
        )
    values = [value for _, value in arrays]
    return _form_of(root), _unique(name for name, _ in arrays), values


def output_classes(output: Any) -> tuple[type, ...]:
    """Return the classes of the named tuples, dataclasses and mappings in an output, in the order of their nodes."""
    return tuple(_classes(output))


def has_classes(form: OutputForm) -> bool:
    """Whether an output of that form can be rebuilt only with the user's classes."""
    return any(node.type_name is not None for node in _nodes(_root_of(form, ())))


def output_builder(form: OutputForm, names: Sequence[str], classes: Sequence[type]) -> Callable[[list[Any], Any], Any]:
    """Return a function that builds the output of a call from its arrays and the device of its inputs (`device_of`).

    Tensors are returned on that device, as by the user's own model. `classes` are those of the own model's output, from
    `output_classes`.
    """
    root = _root_of(form, names)

    def build(arrays: list[Any], device: Any | None) -> Any:
        kind = ("numpy" if device is None else "torch") if form.arrays == "inputs" else None
        return _rebuild(root, iter(arrays), iter(classes), device, kind)

    return build


def _flatten(value: Any, path: str, arrays: list[tuple[str, Any]], depth: int) -> OutputNode:
    if is_array(value):
        arrays.append((path or "output", value))
        return OutputNode("torch" if is_torch_tensor(value) else "numpy")
    parts = _parts_of(value)
    if parts is None:
        if path and is_constant(value):
            return OutputNode("constant", value=value)
        where = f" as {path}" if path else ""
        raise InputError(f"The model returns a {type(value).__name__}{where}: only tensors can be optimized. {_ADVICE}")
    if not depth:
        raise InputError(f"The model's output is nested deeper than {MAX_OUTPUT_DEPTH} levels. {_ADVICE}")
    kind, keys, items = parts
    names = [str(key) for key in keys] if keys else [str(index) for index in range(len(items))]
    if not path:
        names = [name if _can_be_name(name) else f"output_{name}" for name in names]
    nodes = tuple(
        _flatten(item, f"{path}.{name}" if path else name, arrays, depth - 1)
        for name, item in zip(names, items, strict=True)
    )
    return OutputNode(kind, nodes, keys, _type_name(value))


def _parts_of(value: Any) -> tuple[Any, tuple[str | int, ...], list[Any]] | None:
    """Return the kind of a container, the keys of its parts and the parts; None for anything else."""
    if isinstance(value, Mapping):
        keys = tuple(value)
        is_plain = all(isinstance(key, str) for key in keys) or (
            type(value) is dict and all(type(key) in (str, int) for key in keys)
        )
        if not is_plain:
            raise InputError(f"The model returns a {type(value).__name__} with keys such as {keys[0]!r}. {_ADVICE}")
        return "mapping", keys, list(value.values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = tuple(field.name for field in dataclasses.fields(value))
        return "dataclass", fields, [getattr(value, name, None) for name in fields]
    if isinstance(value, tuple | list):
        return ("tuple" if isinstance(value, tuple) else "list"), (), list(value)
    return None


def _type_name(value: Any) -> str | None:
    """Return the name of the class needed to rebuild a container; None if Python's built-in classes suffice."""
    is_own = type(value) is not dict and not (isinstance(value, tuple | list) and not hasattr(value, "_fields"))
    return f"{type(value).__module__}:{type(value).__qualname__}" if is_own else None


def _classes(value: Any) -> Iterator[type]:
    parts = None if is_array(value) else _parts_of(value)
    if parts is not None:
        if _type_name(value) is not None:
            yield type(value)
        for item in parts[2]:
            yield from _classes(item)


def _form_of(root: OutputNode) -> OutputForm:
    """Return the form in the notation from before outputs could be nested, if that notation suffices."""
    kinds = {item.kind for item in root.items}
    if root.kind in _ARRAYS:
        return OutputForm("array", root.kind)  # type: ignore[arg-type]
    is_flat = kinds in ({"torch"}, {"numpy"}) and all(isinstance(key, str) and _can_be_name(key) for key in root.keys)
    if not is_flat or root.kind == "dataclass":
        return OutputForm("nested", root=root)
    return OutputForm(root.kind, kinds.pop(), root.type_name)  # type: ignore[arg-type]


def _can_be_name(text: str) -> bool:
    """Whether an output of a graph can have this name: exporters accept no number."""
    return bool(text) and not text.isdigit()


def _root_of(form: OutputForm, names: Sequence[str]) -> OutputNode:
    if form.root is not None:
        return form.root
    leaf = OutputNode("numpy" if form.arrays == "numpy" else "torch")
    if form.kind == "array":
        return leaf
    assert form.kind != "nested"
    if form.kind == "methods":  # each call asks for one method; outputs are never combined
        return OutputNode("mapping", (leaf,) * len(names), tuple(names))
    keys = tuple(names) if form.kind == "mapping" else ()
    return OutputNode(form.kind, (leaf,) * len(names), keys, form.type_name)


def _nodes(node: OutputNode) -> Iterator[OutputNode]:
    yield node
    for item in node.items:
        yield from _nodes(item)


def _rebuild(
    node: OutputNode, arrays: Iterator[Any], classes: Iterator[type], device: Any | None, array_kind: str | None
) -> Any:
    if node.kind in _ARRAYS:
        array = next(arrays)
        return to_torch(array, device) if (array_kind or node.kind) == "torch" else to_numpy(array)
    if node.kind == "constant":
        return node.value
    cls = None if node.type_name is None else next(classes, None)  # the running model may return plain ones
    items = [_rebuild(item, arrays, classes, device, array_kind) for item in node.items]
    if node.kind == "list":
        return items
    if node.kind == "tuple":
        return tuple(items) if cls is None else cls(*items)
    if node.kind == "mapping":
        entries = dict(zip(node.keys, items, strict=True))
        return entries if cls is None else cls(**{str(key): item for key, item in entries.items()})
    assert cls is not None
    made: Any = object.__new__(cls)  # its __init__ may take other arguments, or compute
    for name, item in zip(node.keys, items, strict=True):
        object.__setattr__(made, str(name), item)
    return made


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, with a number appended to repeated ones: keys may be `1` and `"1"`."""
    found: dict[str, None] = {}
    for name in names:
        count, chosen = 1, name
        while chosen in found:
            count += 1
            chosen = f"{name}_{count}"
        found[chosen] = None
    return tuple(found)
