"""Values of an API's answers: an array of numbers or strings if all have the same shape, else JSON values."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import ServiceError
from ...resilience.atomic_files import write_atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

Answers: TypeAlias = "NDArray[Any] | list[Any]"
"""Answers to n samples: an array `(n, ...)` of numbers, booleans or strings, or else a list of n JSON values."""

_JSON = "application/json"
_KINDS: dict[type, str] = {bool: "b", int: "f", float: "f", str: "U"}


def value_of(body: bytes, media_type: str = _JSON) -> Any:
    """Return the value of one response.

    Raises:
        ServiceError: the response is neither JSON nor text.
    """
    try:
        if media_type == _JSON or media_type.endswith("+json"):
            return json.loads(body)
        if media_type.startswith("text/"):
            return body.decode()
    except ValueError as error:
        raise ServiceError(f"A response is declared as {media_type}, but cannot be read as such: {error}.") from error
    raise ServiceError(f"The API returns {media_type}: only JSON and text can be compared.")


def collect_values(values: Sequence[Any]) -> Answers:
    """Return the answers in the order of the samples; remove the batch axis if it has length 1 in all of them."""
    return as_answers(_without_batch_axis(values))


def as_answers(values: Sequence[Any]) -> Answers:
    """Return JSON values as an array if all are numbers, booleans, strings or lists of one shape; else as a list."""
    import numpy as np

    try:
        array = np.array(values)
    except (ValueError, OverflowError):  # different shapes, or too large for float64
        return list(values)
    # NumPy turns [1, "a"] into strings and [True, 2] into numbers: such mixtures stay lists.
    is_one_kind = array.dtype.kind in "biufU" and len(kinds_of_leaves(values)) <= 1
    return array if is_one_kind else list(values)


def kinds_of_leaves(values: Any) -> set[str]:
    """Return the NumPy kinds of the leaves of JSON values: "f" for all numbers, "O" for leaves that fit no array."""
    if isinstance(values, list | tuple):
        types = set(map(type, values))
        if types <= _KINDS.keys():  # fast path for a row of plain values
            return {_KINDS[each] for each in types}
        return set().union(*map(kinds_of_leaves, values))
    kind = getattr(getattr(values, "dtype", None), "kind", None) or _KINDS.get(type(values), "O")
    return {"f" if kind in "iuf" else str(kind)}


def write_answers(path: Path, rows: NDArray[Any], answers: Answers) -> None:
    """Write the answers to the samples `rows` to a `.npz` file, atomically."""
    import numpy as np

    buffer = io.BytesIO()
    if isinstance(answers, list):
        np.savez(buffer, rows=rows, json=np.frombuffer(json.dumps(answers).encode(), dtype=np.uint8))
    else:
        np.savez(buffer, rows=rows, answers=answers)
    write_atomic(path, buffer.getvalue())


def read_answers(path: Path) -> Answers:
    """Read what `write_answers` wrote."""
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        if "json" in arrays:
            values: list[Any] = json.loads(arrays["json"].tobytes())
            return values
        answers: NDArray[Any] = arrays["answers"]
        return answers


def read_answered_rows(path: Path) -> list[int]:
    """Return the samples to which a file of `write_answers` has the answers."""
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        rows: list[int] = arrays["rows"].tolist()
        return rows


def _without_batch_axis(values: Sequence[Any]) -> list[Any]:
    if all(isinstance(value, list) and len(value) == 1 for value in values):
        return [value[0] for value in values]
    if all(isinstance(value, dict) and value for value in values) and all(
        isinstance(field, list) and len(field) == 1 for value in values for field in value.values()
    ):
        return [{name: field[0] for name, field in value.items()} for value in values]
    return list(values)
