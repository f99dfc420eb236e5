"""Variations of a call's arguments in length and size, which show the axes of a model's inputs that vary.

Samples in one file often all have one shape, and a model that was built for that shape alone would leave every other
request to the user's own model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...integrations.bentoml.services import ApiArguments

Resize = Callable[[int], int]
_RESIZES: tuple[Resize, ...] = (lambda n: math.ceil(n / 2), lambda n: n - 1, lambda n: n + 1, lambda n: 2 * n)


def variations(arguments: ApiArguments, *, is_batchable: bool) -> Iterator[ApiArguments]:
    """Yield the same arguments with some axis shorter or longer; the batch axis stays unchanged.

    Axes of equal length in several parameters are resized together, such as those of ids and of their mask.
    """
    values: dict[int | str, Any] = dict(enumerate(arguments.args))
    values.update(arguments.kwargs)
    axes = {key: _lengths(value, is_batchable) for key, value in values.items()}
    for length in sorted({length for found in axes.values() for length in found.values()}):
        for wanted in sorted({resize(length) for resize in _RESIZES} - {0, length}):
            yield _resized(arguments, values, axes, length, wanted)
    if any(_is_text(value) for value in values.values()):
        for resize in (_RESIZES[0], _RESIZES[-1]):
            yield _put(arguments, {key: _resize_text(value, resize) for key, value in values.items()})


def _resized(
    arguments: ApiArguments,
    values: Mapping[int | str, Any],
    axes: Mapping[int | str, Mapping[int, int]],
    length: int,
    wanted: int,
) -> ApiArguments:
    found = {}
    for key, value in values.items():
        for axis, present in axes[key].items():
            if present == length:
                value = _resize_axis(value, axis, wanted)  # noqa: PLW2901 - one axis after another
        found[key] = value
    return _put(arguments, found)


def _put(arguments: ApiArguments, values: Mapping[int | str, Any]) -> ApiArguments:
    args = tuple(values[index] for index in range(len(arguments.args)))
    return ApiArguments(args, {name: values[name] for name in arguments.kwargs})


def _lengths(value: Any, is_batchable: bool) -> dict[int, int]:
    """Return the length of each axis that may vary, of an array, an image, or a list of numbers."""
    first = 1 if is_batchable else 0
    if _is_image(value):
        return {0: value.height, 1: value.width}
    if hasattr(value, "shape") and not hasattr(value, "columns"):
        return {axis: length for axis, length in enumerate(value.shape) if axis >= first}
    shape = _list_shape(value)
    return {axis: length for axis, length in enumerate(shape) if axis >= first}


def _resize_axis(value: Any, axis: int, wanted: int) -> Any:
    import numpy as np

    if _is_image(value):
        return value.resize((value.width, wanted) if axis == 0 else (wanted, value.height))
    if isinstance(value, list):
        return np.take(np.array(value), np.arange(wanted) % np.shape(value)[axis], axis=axis).tolist()
    index = np.arange(wanted) % value.shape[axis]
    if hasattr(value, "index_select"):
        import torch

        return value.index_select(axis, torch.as_tensor(index, device=value.device))
    return np.take(value, index, axis=axis)


def _list_shape(value: Any) -> tuple[int, ...]:
    """Return the shape of nested lists of numbers with equal lengths; () for anything else."""
    if not isinstance(value, list) or not value:
        return ()
    if all(isinstance(item, int | float) for item in value):
        return (len(value),)
    inner = {_list_shape(item) for item in value}
    (shape,) = inner if len(inner) == 1 else ((),)
    return (len(value), *shape) if shape else ()


def _is_image(value: Any) -> bool:
    return hasattr(value, "resize") and hasattr(value, "getbands")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
    )


def _resize_text(value: Any, resize: Resize) -> Any:
    """Remove or repeat words."""
    if isinstance(value, list):
        return [_resize_text(item, resize) for item in value]
    if not isinstance(value, str):
        return value
    words = value.split() or [value]
    wanted = max(1, resize(len(words)))
    return " ".join(words[index % len(words)] for index in range(wanted))
