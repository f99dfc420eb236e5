"""How answers are read: inferred from their type, shape and range, the labels and the metric."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bento_monitor.lab.model_host.answer_values import Answers

from ..errors import StudyInputError
from .answers import as_array, columns, field, fields_of, named_columns, shown
from .class_order import classes_of, id_classes, last_is_class_1, one_column_classes
from .metrics import Metric
from .metrics.classes import BINARY_NAMES
from .output_kinds import KINDS_OF, choices, decide_kind
from .outputs import (
    BY_COLUMN,
    CLASS_LIKE,
    MULTILABEL,
    OUTPUT_KINDS,
    OutputKind,
    OutputReading,
    default_threshold,
    finite,
    is_zero_or_one,
    predicted,
    read,
    read_classes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def choose_reading(
    answers: Answers, labels: NDArray[Any] | None, metric: Metric, asked: str | None = None
) -> OutputReading:
    """Decide how the baseline's answers are read; a candidate's answers are read in the same way.

    `asked` is the value of `--output`: `KIND`, `FIELD` or `FIELD:KIND`. `KIND=a,b,c` also names the classes in the
    order of the columns.

    Raises:
        StudyInputError: the reading cannot be determined, or `asked` does not fit; the message has the choices.
    """
    if labels is None and metric.needs_labels:
        raise StudyInputError(f"The metric {metric.name} needs labels: add labels, or use --metric agreement.")
    name, kind, order = _parse(asked, metric, fields_of(answers))
    if name is not None and len(answers) and not isinstance(answers[0], dict):
        raise StudyInputError(
            f"--output {asked}: an answer such as {shown(answers[0])} is not a dict, so it has no field {name!r}. "
            f"{choices(metric)}"
        )
    if name is None and metric.family != "function" and not named_columns(answers, labels):
        reading = _choose_field(answers, labels, metric, kind, order)
        if reading is not None:
            return reading
    return _of_field(answers, labels, metric, name, kind, order)


def read_labels(reading: OutputReading, labels: NDArray[Any] | None, metric: Metric) -> NDArray[Any]:
    """Return the labels in the form that the metric takes: classes with the reading's names, numbers, or texts.

    Raises:
        StudyInputError: the labels do not fit the reading.
    """
    if labels is None:
        raise StudyInputError(f"The metric {metric.name} needs labels: add labels, or use --metric agreement.")
    if metric.family == "function":
        return labels
    array = as_array(labels)
    if metric.family in ("regression", "text", "retrieval"):
        if metric.family == "regression" and array.dtype.kind == "U":
            raise StudyInputError(
                f"The metric {metric.name} needs numbers as labels, but the labels are strings, such as "
                f"{shown(array.flat[0].item())}: give numbers, or choose another metric."
            )
        return array
    if reading.kind in MULTILABEL:
        return _multilabel(array)
    classes = read_classes(array)
    if reading.classes and isinstance(reading.classes[0], str) and classes.dtype.kind != "U":
        return classes.astype(str)
    return classes


def _multilabel(labels: NDArray[Any]) -> NDArray[Any]:
    if labels.ndim != 2 or labels.dtype.kind not in "biuf" or not is_zero_or_one(labels):
        raise StudyInputError(
            "Several labels per sample must be rows of 0 and 1, of the shape (n, k), but the labels have the shape "
            f"{labels.shape} and the type {labels.dtype}: write them as rows of 0 and 1."
        )
    return labels.astype(bool)


def _parse(
    asked: str | None, metric: Metric, fields: tuple[str, ...]
) -> tuple[str | None, OutputKind | None, tuple[str, ...]]:
    if not asked:
        return None, None, ()
    text, _, order = asked.strip().partition("=")
    name, colon, kind_text = text.rpartition(":")
    if not colon and (kind_text in fields or kind_text not in OUTPUT_KINDS):
        name, kind_text = kind_text, ""
    classes = tuple(each.strip() for each in order.split(",")) if order else ()
    if not kind_text:
        return name or None, None, classes
    kind = next((each for each in KINDS_OF[metric.family] if each == kind_text), None)
    if kind is None:
        raise StudyInputError(
            f"--output {asked}: {metric.name} cannot be measured on the kind {kind_text!r}. {choices(metric)}"
        )
    return name or None, kind, classes


def _choose_field(
    answers: Answers, labels: NDArray[Any] | None, metric: Metric, kind: OutputKind | None, order: tuple[str, ...]
) -> OutputReading | None:
    """Return the reading of the only field that fits, if answers are dicts; None if they are not."""
    names = fields_of(answers)
    if not names:
        return None
    fitting = {}
    for name in names:
        try:
            fitting[name] = _of_field(answers, labels, metric, name, kind, order)
        except StudyInputError:
            continue
    if metric.family in ("ranking", "probabilities"):
        numbers = {name: each for name, each in fitting.items() if as_array(field(answers, name)).dtype.kind == "f"}
        fitting = numbers or fitting
    decisions = {name: each for name, each in fitting.items() if each.kind in ("classes", "multilabel", "text")}
    if decisions and len(fitting) > 1 and metric.family in ("classes", "agreement"):
        fitting = decisions
    elif len(fitting) == 1:
        fitting = {name: each for name, each in fitting.items() if not _is_confidence(answers, each, names)}
    if len(fitting) != 1:
        which = "none of them fits" if not fitting else f"several of them fit ({', '.join(fitting)})"
        raise StudyInputError(
            f"An answer has the fields {', '.join(names)}, and {which} the metric {metric.name}: name one by --output "
            f"FIELD or FIELD:KIND (kinds: {', '.join(KINDS_OF[metric.family])})."
        )
    return next(iter(fitting.values()))


def _is_confidence(answers: Answers, reading: OutputReading, names: tuple[str, ...]) -> bool:
    """Whether a number next to a class is the confidence in that class, not the probability of class 1."""
    import numpy as np

    if reading.kind != "probability":
        return False
    is_positive = predicted(reading, read(reading, answers)) == (reading.classes[-1] if reading.classes else 1)
    for name in names:
        values = field(answers, name)
        if name == reading.field or not isinstance(values, np.ndarray) or values.ndim != 1:
            continue
        kinds = len(np.unique(values))
        if values.dtype.kind in "biuU" and kinds <= 2 and kinds > len(np.unique(is_positive)):
            return True
    return False


def _of_field(
    answers: Answers,
    labels: NDArray[Any] | None,
    metric: Metric,
    name: str | None,
    kind: OutputKind | None,
    order: tuple[str, ...],
) -> OutputReading:
    if metric.family == "function" and kind is None:
        return OutputReading("raw", name)
    values = answers if name is None else field(answers, name)
    named = named_columns(values, labels)
    array = as_array(columns(values, named) if named else values)
    if named and kind in (None, *BY_COLUMN):
        order = order or named
    if not len(array):
        raise StudyInputError("There is no answer to read: give data with samples.")
    if array.dtype.kind == "f":
        finite(array)
    truth = None if labels is None or metric.family == "agreement" else as_array(labels)
    chosen, note = (kind, "") if kind is not None else decide_kind(array, truth, metric)
    classes, assumed = _classes(array, truth, metric, chosen, order)
    notes = "; ".join(part for part in (note, "classes by the names of the fields" if named else assumed) if part)
    threshold = default_threshold(chosen)
    if chosen == "classes" and array.dtype.kind == "f" and set(classes) <= {0, 1} and classes:
        threshold, notes = 0.5, "given as 0.0 and 1.0"
    if chosen in MULTILABEL and metric.family == "probabilities":
        raise StudyInputError(f"{metric.name} needs one class per sample, not several labels. {choices(metric)}")
    reading = OutputReading(chosen, name, classes, threshold, notes, named)
    _check(reading, read(replace(reading, field=None, columns=()), array), truth, metric)
    return reading


def _classes(
    array: NDArray[Any], labels: NDArray[Any] | None, metric: Metric, kind: OutputKind, order: tuple[str, ...]
) -> tuple[tuple[int | str, ...], str]:
    is_of_classes = kind in CLASS_LIKE | {"score"} and kind not in MULTILABEL
    if not is_of_classes or labels is None or metric.family in ("regression", "function"):
        if order:
            raise StudyInputError(
                f"--output names the classes {','.join(order)}, but {metric.name} of a {kind} does not use classes: "
                "remove them from --output."
            )
        return (), ""
    if kind in BY_COLUMN:
        return classes_of(array, labels, order)
    if kind != "classes":
        return one_column_classes(labels, order)
    classes, note = id_classes(labels, order)
    return classes, note or _id_note(array, classes, metric)


def _id_note(array: NDArray[Any], classes: tuple[int | str, ...], metric: Metric) -> str:
    is_named = isinstance(classes[0], str)
    is_by_id = is_named and array.dtype.kind != "U" and not all(str(each).isdecimal() for each in classes)
    notes = ["ids are positions in the sorted labels"] if is_by_id else []
    if metric.name in BINARY_NAMES and len(classes) == 2 and classes != (0, 1):
        notes.append(last_is_class_1(classes))
    return "; ".join(notes)


def _check(reading: OutputReading, values: NDArray[Any], labels: NDArray[Any] | None, metric: Metric) -> None:
    """Refuse answers whose number, shape or values do not match the labels."""
    import numpy as np

    if labels is None or metric.family == "function":
        return
    truth = read_labels(reading, labels, metric)
    if len(truth) != len(values):
        raise StudyInputError(f"There are {len(values)} answers for {len(truth)} labels: give one label per sample.")
    if reading.kind in MULTILABEL and truth.shape != values.shape:
        raise StudyInputError(
            f"The answers have the shape {values.shape}, but the labels have the shape {truth.shape}: give labels of "
            "the answers' shape."
        )
    if metric.family == "regression" and truth.size != values.size:
        raise StudyInputError(
            f"{metric.name}: the answers have the shape {values.shape} and the labels {truth.shape}: give labels with "
            "as many numbers per sample as an answer has."
        )
    if reading.kind == "classes" and not np.isin(values, truth).any():
        raise StudyInputError(
            f"No answer is a label: an answer is {shown(values[0].item())}, and a label {shown(truth[0].item())}. Give "
            "labels as the API answers them, or name the classes by --output classes=a,b,c."
        )
