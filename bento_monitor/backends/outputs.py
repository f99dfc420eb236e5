"""Taking a model's output apart into arrays, and putting arrays together as the model's output was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from ..errors import InputError
from ..releases.record import OutputForm
from .arrays import is_array, is_torch_tensor, to_numpy, to_torch


def flatten_output(output: Any) -> tuple[OutputForm, tuple[str, ...], list[Any]]:
    """The form of an output, a name for each array in it, and the arrays.

    Raises:
        InputError: the output is no array and no flat tuple, list or mapping of arrays.
    """
    if is_array(output):
        return OutputForm("array", _kind_of([output])), ("output",), [output]
    if isinstance(output, Mapping):
        entries = {str(name): value for name, value in output.items() if value is not None}
        _require_arrays(entries)
        type_name = None if type(output) is dict else _type_name(output)
        return OutputForm("mapping", _kind_of(entries.values()), type_name), tuple(entries), list(entries.values())
    if isinstance(output, tuple | list):
        entries = {f"output_{index}": value for index, value in enumerate(output)}
        _require_arrays(entries)
        kind: Literal["tuple", "list"] = "tuple" if isinstance(output, tuple) else "list"
        type_name = _type_name(output) if hasattr(output, "_fields") else None
        return OutputForm(kind, _kind_of(output), type_name), tuple(entries), list(output)
    raise InputError(
        f"The model returns a {type(output).__name__}: only a tensor, or a tuple, list or mapping of tensors, "
        "can be optimized. Return that from the model, and do the rest in the service."
    )


def output_class(output: Any) -> type | None:
    """The class that the arrays of an output like this one are put into; None for plain arrays, tuples, lists,
    dicts.
    """
    form, _, _ = flatten_output(output)
    return None if form.type_name is None else type(output)


def output_builder(form: OutputForm, names: Sequence[str], cls: type | None) -> Callable[[list[Any], Any], Any]:
    """A function that puts the arrays of one call together; its second argument: where its inputs lay, by `device_of`.

    Tensors are given back there, as the user's own model gives them. `cls` is the class of the own model's output, by
    `output_class`.
    """

    def build(arrays: list[Any], device: Any | None) -> Any:
        torch_wanted = form.arrays == "torch" or (form.arrays == "inputs" and device is not None)
        values = [to_torch(array, device) if torch_wanted else to_numpy(array) for array in arrays]
        if form.kind == "array":
            return values[0]
        if form.kind == "mapping":
            entries = dict(zip(names, values, strict=True))
            return cls(**entries) if cls is not None else entries
        if form.kind == "list":
            return values
        return cls(*values) if cls is not None else tuple(values)

    return build


def _require_arrays(entries: Mapping[str, Any]) -> None:
    for name, value in entries.items():
        if not is_array(value):
            raise InputError(
                f"The model returns a {type(value).__name__} as {name}: only tensors can be optimized. "
                "Return flat tensors from the model, and do the rest in the service."
            )


def _kind_of(values: Iterable[Any]) -> Literal["torch", "numpy"]:
    return "torch" if all(is_torch_tensor(value) for value in values) else "numpy"


def _type_name(value: object) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"
