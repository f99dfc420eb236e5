"""Which class a column of the outputs stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import StudyInputError
from .answers import shown
from .outputs import read_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

Classes = tuple[int | str, ...]


def classes_of(answers: NDArray[Any], labels: NDArray[Any], order: tuple[str, ...]) -> tuple[Classes, str]:
    """The class of each column of `(n, k)` answers, and what was assumed, in words.

    Raises:
        StudyInputError: the labels are no classes of k columns.
    """
    columns = answers.shape[1] if answers.ndim == 2 else 1
    truth = read_classes(labels)
    found = sorted(set(truth.tolist()))
    if order:
        return _as_told(order, truth, columns), "classes in the order that was told"
    if truth.dtype.kind != "U" and found[0] >= 0 and found[-1] < columns:
        return tuple(range(columns)), ""
    if len(found) == columns:
        return tuple(found), "columns taken in the sorted order of the labels"
    if truth.dtype.kind == "U":
        raise StudyInputError(
            f"An answer has {columns} columns, and the labels are {len(found)} strings: name the class of each column "
            "in order, as in --output probabilities=cat,dog."
        )
    odd = next(value for value in (*found[::-1], found[0]) if not 0 <= value < columns)
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
    found = sorted(set(truth.tolist()))
    if order:
        return _as_told(order, truth, 2), "class 1 as it was told"
    if set(found) <= {0, 1}:
        return (0, 1), ""
    if len(found) != 2:
        raise StudyInputError(
            f"One number a sample tells two classes apart, but the labels have {len(found)}, such as "
            f"{shown(found[:3])}."
        )
    return tuple(found), f"{found[1]!r} taken as class 1, the last of the sorted labels"


def _as_told(order: tuple[str, ...], labels: NDArray[Any], columns: int) -> Classes:
    told: Classes = order
    if labels.dtype.kind != "U":
        try:
            told = tuple(int(each) for each in order)
        except ValueError as error:
            raise StudyInputError(
                f"The labels are numbers, but --output names the classes {','.join(order)}."
            ) from error
    if len(set(told)) != columns:
        raise StudyInputError(f"--output names {len(set(told))} classes, but an answer has {columns} columns.")
    strange = sorted(set(labels.tolist()) - set(told))
    if strange:
        raise StudyInputError(f"The label {strange[0]!r} is none of the classes that --output names.")
    return told
