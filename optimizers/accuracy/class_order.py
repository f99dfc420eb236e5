"""Which class a column of the outputs stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import StudyInputError
from .answers import shown
from .outputs import read_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

Classes = tuple[int | str, ...]
_TOLD = "classes in the order that was told"


def classes_of(answers: NDArray[Any], labels: NDArray[Any], order: tuple[str, ...]) -> tuple[Classes, str]:
    """The class of each column of `(n, k)` answers, and what was assumed, in words.

    Raises:
        StudyInputError: the labels are no classes of k columns.
    """
    columns = answers.shape[1] if answers.ndim == 2 else 1
    truth = read_classes(labels)
    found = sorted_classes(truth)
    if order:
        return _as_told(order, truth, columns), _TOLD
    if _are_ids(found, columns):
        every = tuple(range(columns))
        return (tuple(map(str, every)) if truth.dtype.kind == "U" else every), ""
    if len(found) == columns:
        return found, "columns taken in the sorted order of the labels"
    if truth.dtype.kind == "U":
        raise StudyInputError(
            f"An answer has {columns} columns, and the labels are {len(found)} strings: name the class of each column "
            "in order, as in --output probabilities=cat,dog."
        )
    odd = next(value for value in (*found[::-1], found[0]) if not 0 <= int(value) < columns)
    raise StudyInputError(
        f"A label is {odd}, but an answer has {columns} columns, for the classes 0 to {columns - 1}: give labels in "
        "this range."
    )


def one_column_classes(labels: NDArray[Any], order: tuple[str, ...]) -> tuple[Classes, str]:
    """The two classes that one number a sample tells apart, the second is class 1; and what was assumed.

    Raises:
        StudyInputError: the labels have more than two classes.
    """
    truth = read_classes(labels)
    found = sorted_classes(truth)
    if order:
        return _as_told(order, truth, 2), "class 1 as it was told"
    if set(found) <= {0, 1}:
        return (0, 1), ""
    if len(found) != 2:
        raise StudyInputError(
            f"One number a sample tells two classes apart, but the labels have {len(found)}, such as "
            f"{shown(found[:3])}."
        )
    return found, last_is_class_1(found)


def id_classes(labels: NDArray[Any], order: tuple[str, ...]) -> tuple[Classes, str]:
    """The classes that answers name or number; an order that was told says which class an id stands for.

    Raises:
        StudyInputError: the labels are no classes, or others than those that were told.
    """
    truth = read_classes(labels)
    if order:
        return _as_told(order, truth, None), _TOLD
    return sorted_classes(truth), ""


def sorted_classes(truth: NDArray[Any]) -> Classes:
    """Each class once; strings of digits are sorted as numbers, so that "10" comes after "9"."""
    found = set(truth.tolist())
    if truth.dtype.kind == "U" and all(each.isdecimal() for each in found):
        return tuple(sorted(found, key=lambda each: (int(each), each)))
    return tuple(sorted(found))


def last_is_class_1(classes: Classes) -> str:
    """What was assumed of two classes that are not 0 and 1, in words."""
    return f"{classes[-1]!r} taken as class 1, the last of the sorted labels"


def _are_ids(found: Classes, columns: int) -> bool:
    """Whether labels number the columns, also as strings."""
    return all(str(each).isdecimal() and str(int(each)) == str(each) and int(each) < columns for each in found)


def _as_told(order: tuple[str, ...], labels: NDArray[Any], columns: int | None) -> Classes:
    told: Classes = order
    if len(set(told)) != len(told):
        raise StudyInputError(f"--output names a class twice: {','.join(order)}.")
    if labels.dtype.kind != "U":
        try:
            told = tuple(int(each) for each in order)
        except ValueError as error:
            raise StudyInputError(
                f"The labels are numbers, but --output names the classes {','.join(order)}."
            ) from error
    if columns is not None and len(told) != columns:
        raise StudyInputError(f"--output names {len(told)} classes, but an answer tells {columns} apart.")
    strange = sorted(set(labels.tolist()) - set(told))
    if strange:
        raise StudyInputError(f"The label {strange[0]!r} is none of the classes that --output names.")
    return told
