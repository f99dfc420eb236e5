"""The answers of a model to all samples: an array where they are of one shape, else a list of JSON values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bento_monitor.lab.model_host.answer_values import Answers, as_answers, leaf_kinds

from ..errors import StudyInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Taken = TypeVar("Taken")
_SHOWN_CHARACTERS = 80
_LEAST_CLASSES = 2
_ROUNDING = 1e-3


def take(answers: Taken, rows: NDArray[np.int64] | None) -> Taken:
    """The answers to some of the samples, in the order of `rows`; all of them where `rows` is None."""
    if rows is None:
        return answers
    every: Any = answers
    found: Any = [every[int(row)] for row in rows] if isinstance(every, list) else every[rows]
    return cast("Taken", found)


def fields_of(answers: Answers) -> tuple[str, ...]:
    """The keys that every answer has, where all answers are dicts; else none."""
    if not isinstance(answers, list) or not answers or not all(isinstance(each, dict) for each in answers):
        return ()
    return tuple(key for key in answers[0] if all(key in each for each in answers))


def field(answers: Answers, name: str) -> Answers:
    """One field of every answer, as an array where its values are of one shape.

    Raises:
        StudyInputError: an answer is no dict, or has no such field.
    """
    for row, each in enumerate(answers):
        if not isinstance(each, dict):
            raise StudyInputError(f"The answer to sample {row} is {shown(each)}: it has no field {name!r}.")
        if name not in each:
            raise StudyInputError(
                f"The answer to sample {row} has no field {name!r}, only {', '.join(map(str, each))}."
            )
    return as_answers([each[name] for each in answers])


def named_columns(answers: Answers, labels: NDArray[Any] | None) -> tuple[str, ...]:
    """The fields of all answers where each is a number for a class, and the labels are among their names; else none."""
    names = fields_of(answers)
    if labels is None or len(names) < _LEAST_CLASSES or len(names) != len(answers[0]):
        return ()
    classes = set(labels.tolist()) if labels.ndim == 1 and labels.dtype.kind == "U" else set()
    if len(classes) < _LEAST_CLASSES or not classes <= set(names):
        return ()
    rows: Any = answers
    if not all(len(each) == len(names) and {int, float}.issuperset(map(type, each.values())) for each in rows):
        return ()
    # What is no label of the samples may be something else than a class, unless together they are probabilities.
    are_sure = classes == set(names) or all(_are_probabilities(each.values()) for each in rows)
    return names if are_sure else ()


def _are_probabilities(numbers: Collection[float]) -> bool:
    return min(numbers) >= -_ROUNDING and abs(sum(numbers) - 1) <= _ROUNDING


def columns(answers: Answers, names: tuple[str, ...]) -> Answers:
    """The fields of those names as the columns of an array.

    Raises:
        StudyInputError: an answer is no dict, or lacks one.
    """
    import numpy as np

    return np.column_stack([as_array(field(answers, name)) for name in names])


def as_array(answers: Answers) -> NDArray[Any]:
    """The answers as an array of numbers, booleans or strings, without trailing axes of length 1: `(n, 1)` is `(n,)`.

    Raises:
        StudyInputError: they are no numbers, booleans or strings of one shape; the message names the first odd row.
    """
    import numpy as np

    found: Any = answers if isinstance(answers, np.ndarray) else as_answers(answers)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biufU":
        if len(found) and all(map(_is_nothing, found)):
            raise StudyInputError(
                f"The API answers with {shown(found[0])}, which is no value: does it return what the model gives? NaN "
                "and infinite numbers are null in JSON too."
            )
        row = _odd_row(found)
        raise StudyInputError(
            f"The answers are not numbers or strings of one shape: sample 0 is answered with {shown(found[0])}, "
            f"sample {row} with {shown(found[row])}."
        )
    array: NDArray[Any] = found
    while array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    return array


def shown(value: Any) -> str:
    """A value as an error message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _is_nothing(answer: Any) -> bool:
    return answer is None or (isinstance(answer, list) and bool(answer) and all(map(_is_nothing, answer)))


def _odd_row(answers: Sequence[Any]) -> int:
    first = leaf_kinds(answers[0]), _shape(answers[0])
    return next((row for row, each in enumerate(answers) if (leaf_kinds(each), _shape(each)) != first), 0)


def _shape(value: Any) -> Any:
    return tuple(_shape(each) for each in value) if isinstance(value, list | tuple) else ()
