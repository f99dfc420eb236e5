"""The class of each column of the outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import StudyInputError
from .answers import shown
from .outputs import read_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

Classes = tuple[int | str, ...]
_GIVEN_ORDER = "classes in the order of --output"


def classes_of(answers: NDArray[Any], labels: NDArray[Any], order: tuple[str, ...]) -> tuple[Classes, str]:
    """Return the class of each column of `(n, k)` answers, and the assumption made, in words.

    Raises:
        StudyInputError: the labels do not fit k columns.
    """
    columns = answers.shape[1] if answers.ndim == 2 else 1
    truth = read_classes(labels)
    classes = sorted_classes(truth)
    if order:
        return _given_classes(order, truth, columns), _GIVEN_ORDER
    if _are_ids(classes, columns):
        every = tuple(range(columns))
        return (tuple(map(str, every)) if truth.dtype.kind == "U" else every), ""
    if len(classes) == columns:
        return classes, "columns taken in the sorted order of the labels"
    if truth.dtype.kind == "U":
        raise StudyInputError(
            f"An answer has {columns} columns, but the labels are {len(classes)} different strings: name the class of "
            "each column in order, as in --output probabilities=cat,dog."
        )
    odd = next(value for value in (*classes[::-1], classes[0]) if not 0 <= int(value) < columns)
    raise StudyInputError(
        f"A label is {odd}, but an answer has {columns} columns, for the classes 0 to {columns - 1}: give labels in "
        "that range."
    )


def one_column_classes(labels: NDArray[Any], order: tuple[str, ...]) -> tuple[Classes, str]:
    """Return the two classes that one number per sample distinguishes, class 1 last; and the assumption made.

    Raises:
        StudyInputError: the labels have more than two classes, or only one.
    """
    truth = read_classes(labels)
    classes = sorted_classes(truth)
    if order:
        return _given_classes(order, truth, 2), "class 1 as given by --output"
    if set(classes) <= {0, 1}:
        return (0, 1), ""
    if len(classes) != 2:
        raise StudyInputError(
            f"One number per sample distinguishes two classes, but the labels have {len(classes)}, such as "
            f"{shown(classes[:3])}: choose another reading by --output, or use data with two classes."
        )
    return classes, last_is_class_1(classes)


def id_classes(labels: NDArray[Any], order: tuple[str, ...]) -> tuple[Classes, str]:
    """Return the classes of answers that are class names or ids; a given `order` defines the class of each id.

    Raises:
        StudyInputError: the labels are not classes, or not the classes in `order`.
    """
    truth = read_classes(labels)
    if order:
        return _given_classes(order, truth, None), _GIVEN_ORDER
    return sorted_classes(truth), ""


def sorted_classes(truth: NDArray[Any]) -> Classes:
    """Return each class once, sorted; strings of digits are sorted as numbers, so that "10" comes after "9"."""
    classes = set(truth.tolist())
    if truth.dtype.kind == "U" and all(each.isdecimal() for each in classes):
        return tuple(sorted(classes, key=lambda each: (int(each), each)))
    return tuple(sorted(classes))


def last_is_class_1(classes: Classes) -> str:
    """Return the assumption made for two classes that are not 0 and 1, in words."""
    return f"{classes[-1]!r} taken as class 1, the last of the sorted labels"


def _are_ids(classes: Classes, columns: int) -> bool:
    """Whether all classes are numbers of columns, also as strings."""
    return all(str(each).isdecimal() and str(int(each)) == str(each) and int(each) < columns for each in classes)


def _given_classes(order: tuple[str, ...], labels: NDArray[Any], columns: int | None) -> Classes:
    classes: Classes = order
    if len(set(classes)) != len(classes):
        raise StudyInputError(f"--output names a class twice: {','.join(order)}. Name each class once.")
    if labels.dtype.kind != "U":
        try:
            classes = tuple(int(each) for each in order)
        except ValueError as error:
            raise StudyInputError(
                f"The labels are numbers, but --output names the classes {','.join(order)}: give numbers."
            ) from error
    if columns is not None and len(classes) != columns:
        raise StudyInputError(
            f"--output names {len(classes)} classes, but an answer distinguishes {columns}: name each of them once."
        )
    unknown = sorted(set(labels.tolist()) - set(classes))
    if unknown:
        raise StudyInputError(f"The label {unknown[0]!r} is not one of the classes in --output: add it.")
    return classes
