"""The answers of a model to all samples: an array if they have one shape, otherwise a list of JSON values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bento_monitor.lab.model_host.answer_values import Answers, as_answers, kinds_of_leaves

from ..errors import StudyInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Taken = TypeVar("Taken")
_SHOWN_CHARACTERS = 80
_MIN_CLASSES = 2
_ROUNDING = 1e-3


def take(answers: Taken, rows: NDArray[np.int64] | None) -> Taken:
    """Return the answers to the samples `rows`, in that order; all answers if `rows` is None."""
    if rows is None:
        return answers
    every: Any = answers
    taken: Any = [every[int(row)] for row in rows] if isinstance(every, list) else every[rows]
    return cast("Taken", taken)


def fields_of(answers: Answers) -> tuple[str, ...]:
    """Return the keys that every answer has if all answers are dicts, otherwise an empty tuple."""
    if not isinstance(answers, list) or not answers or not all(isinstance(each, dict) for each in answers):
        return ()
    return tuple(key for key in answers[0] if all(key in each for each in answers))


def field(answers: Answers, name: str) -> Answers:
    """Return one field of every answer, as an array if its values have one shape.

    Raises:
        StudyInputError: an answer is not a dict, or has no such field.
    """
    for row, each in enumerate(answers):
        if not isinstance(each, dict):
            raise StudyInputError(
                f"The answer to sample {row} is {shown(each)}, not a dict, so it has no field {name!r}: return this "
                "field for every sample, or name another by --output."
            )
        if name not in each:
            raise StudyInputError(
                f"The answer to sample {row} has no field {name!r}, only {', '.join(map(str, each))}: return this "
                "field for every sample, or name another by --output."
            )
    return as_answers([each[name] for each in answers])


def named_columns(answers: Answers, labels: NDArray[Any] | None) -> tuple[str, ...]:
    """Return the fields of all answers if each field is named after a class and holds a number, otherwise `()`."""
    names = fields_of(answers)
    if labels is None or len(names) < _MIN_CLASSES or len(names) != len(answers[0]):
        return ()
    classes = set(labels.tolist()) if labels.ndim == 1 and labels.dtype.kind == "U" else set()
    if len(classes) < _MIN_CLASSES or not classes <= set(names):
        return ()
    rows: Any = answers
    if not all(len(each) == len(names) and {int, float}.issuperset(map(type, each.values())) for each in rows):
        return ()
    # A field that is not a label of any sample may not be a class, unless the fields together are probabilities.
    are_classes = classes == set(names) or all(_are_probabilities(each.values()) for each in rows)
    return names if are_classes else ()


def _are_probabilities(numbers: Collection[float]) -> bool:
    return min(numbers) >= -_ROUNDING and abs(sum(numbers) - 1) <= _ROUNDING


def columns(answers: Answers, names: tuple[str, ...]) -> Answers:
    """Return the fields `names` as the columns of an array.

    Raises:
        StudyInputError: an answer is not a dict, or lacks a field.
    """
    import numpy as np

    return np.column_stack([as_array(field(answers, name)) for name in names])


def as_array(answers: Answers) -> NDArray[Any]:
    """Return the answers as an array of numbers, booleans or strings, with `(n, 1)` as `(n,)`.

    All trailing axes of length 1 are removed.

    Raises:
        StudyInputError: the answers are not numbers, booleans or strings of one shape; the message names the first
            row that differs.
    """
    import numpy as np

    values: Any = answers if isinstance(answers, np.ndarray) else as_answers(answers)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biufU":
        if len(values) and all(map(_is_null, values)):
            raise StudyInputError(
                f"The API answers with {shown(values[0])}, without any value: does it return the model's output? NaN "
                "and infinite numbers are null in JSON too."
            )
        row = _odd_row(values)
        raise StudyInputError(
            f"The answers are not numbers or strings of one shape: sample 0 is answered with {shown(values[0])}, "
            f"sample {row} with {shown(values[row])}. Return the same type and shape for every sample."
        )
    array: NDArray[Any] = values
    while array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    return array


def shown(value: Any) -> str:
    """Return the representation of a value for an error message, truncated if it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _is_null(answer: Any) -> bool:
    return answer is None or (isinstance(answer, list) and bool(answer) and all(map(_is_null, answer)))


def _odd_row(answers: Sequence[Any]) -> int:
    first = kinds_of_leaves(answers[0]), _shape(answers[0])
    return next((row for row, each in enumerate(answers) if (kinds_of_leaves(each), _shape(each)) != first), 0)


def _shape(value: Any) -> Any:
    return tuple(_shape(each) for each in value) if isinstance(value, list | tuple) else ()
