"""The kinds of outputs (class ids, probabilities, logits, scores, vectors, labels, text), and how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from bento_monitor.lab.model_host.answer_values import Answers

from ..errors import StudyInputError
from .answers import as_array, columns, field, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OutputKind = Literal[
    "classes",
    "probability",
    "probabilities",
    "logit",
    "logits",
    "score",
    "vector",
    "multilabel",
    "multilabel-probabilities",
    "multilabel-logits",
    "text",
    "raw",
]
OUTPUT_KINDS: tuple[OutputKind, ...] = get_args(OutputKind)
BY_COLUMN = frozenset({"probabilities", "logits"})
MULTILABEL = frozenset({"multilabel", "multilabel-probabilities", "multilabel-logits"})
CLASS_LIKE = frozenset({"classes", "probability", "probabilities", "logit", "logits"}) | MULTILABEL
PROBABILITIES = frozenset({"probability", "probabilities", "multilabel-probabilities"})
_ONE_PER_SAMPLE = frozenset({"classes", "probability", "logit", "text"})
_THRESHOLDS = {"probability": 0.5, "logit": 0.0, "multilabel-probabilities": 0.5, "multilabel-logits": 0.0}
_ROUNDING = 1e-5
Class = int | str


@dataclass(frozen=True, slots=True)
class OutputReading:
    """How answers are read.

    Attributes:
        kind: the kind of the outputs.
        field: the field to read, if an answer is a dict.
        columns: the names of the columns, if an answer or its field is a dict with a number for each class.
        classes: the classes in the order of the columns or ids; for one number per sample, the last is class 1.
        threshold: the smallest probability or logit that stands for class 1.
        note: the assumptions made, in words.
    """

    kind: OutputKind
    field: str | None = None
    classes: tuple[Class, ...] = ()
    threshold: float | None = None
    note: str = ""
    columns: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The reading in words, such as "probability of class 1, threshold 0.5"."""
        positive = self.classes[-1] if self.classes else 1
        words = {
            "classes": "class ids" if not self.classes or isinstance(self.classes[0], int) else "class labels",
            "probability": f"probability of class {positive}",
            "probabilities": f"probabilities of {len(self.classes) or 'all'} classes",
            "logit": f"logit of class {positive}",
            "logits": f"logits of {len(self.classes) or 'all'} classes",
            "multilabel": "labels of each sample as 0 or 1",
            "multilabel-probabilities": "probability of each label",
            "multilabel-logits": "logit of each label",
            "raw": "unchanged answers",
        }.get(self.kind, self.kind)
        threshold = "" if self.threshold is None or self.kind == "classes" else f", threshold {self.threshold:g}"
        source = "" if self.field is None else f"field {self.field!r}: "
        return f"{source}{words}{threshold}{f' ({self.note})' if self.note else ''}"


def default_threshold(kind: OutputKind) -> float | None:
    """Return the smallest output of a kind that stands for class 1; None if the kind has no threshold."""
    return _THRESHOLDS.get(kind)


def read(reading: OutputReading, answers: Answers) -> NDArray[Any]:
    """Return the answers as the reading's array.

    `classes` are `(n,) int64` or strings; `probability` and `logit` `(n,) float64`; `probabilities`, `logits`, `vector`
    and the multi-label kinds `(n, k) float64`; a `score` `(n,)` or `(n, m) float64`; `text` `(n,)` strings; `raw`
    answers are returned unchanged.

    Raises:
        StudyInputError: the answers do not fit the reading, or are NaN or infinite; the message names the row.
    """
    chosen = answers if reading.field is None else field(answers, reading.field)
    if reading.kind == "raw":
        return chosen  # type: ignore[return-value] # the user's metric function takes answers of any type
    array = as_array(columns(chosen, reading.columns) if reading.columns else chosen)
    if reading.kind in _ONE_PER_SAMPLE and array.ndim != 1:
        raise _misfit(reading, array)
    if reading.kind == "text":
        if array.dtype.kind != "U":
            raise StudyInputError(
                f"Text was expected, but sample 0 is answered with {shown(array[0].item())}: choose another reading by "
                "--output."
            )
        return array
    if reading.kind == "classes":
        return _read_classes(reading, array)
    numbers = finite(array)
    if reading.kind in ("vector", "score"):
        rows = numbers.reshape(len(numbers), -1)
        return rows if reading.kind == "vector" or numbers.ndim > 1 else numbers
    if reading.kind in BY_COLUMN | MULTILABEL and numbers.ndim == 1:
        numbers = numbers[:, None]
    _check_columns(reading, numbers)
    _check_range(reading, numbers)
    return numbers


def predicted(reading: OutputReading, values: NDArray[Any]) -> NDArray[Any]:
    """Return the predicted classes of read answers: `(n,)`, or `(n, k) bool` for multi-label kinds."""
    import numpy as np

    if reading.kind == "classes":
        return values
    if reading.kind == "multilabel":
        return np.asarray(values != 0)
    if reading.kind in BY_COLUMN:
        index: NDArray[Any] = values.argmax(axis=1)
        return np.array(reading.classes)[index] if reading.classes else index
    assert reading.threshold is not None
    above = values >= reading.threshold
    if reading.kind in MULTILABEL:
        return np.asarray(above)
    negative, positive = reading.classes if len(reading.classes) == 2 else (0, 1)
    return np.where(above, positive, negative)


def read_classes(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels as classes `(n,)`, `int64` or strings: booleans as 0 and 1, one-hot rows as column numbers.

    Raises:
        StudyInputError: the labels are not classes.
    """
    import numpy as np

    array = as_array(labels)
    if array.ndim == 2 and is_one_hot(array):
        return np.asarray(array.argmax(axis=1), dtype=np.int64)
    if array.ndim != 1:
        raise StudyInputError(
            f"The labels have the shape {array.shape}: give one number or string per sample as its class."
        )
    if array.dtype.kind == "U":
        return array
    numbers = finite(array)
    if not (numbers == np.round(numbers)).all():
        row = int(np.flatnonzero(numbers != np.round(numbers))[0])
        raise StudyInputError(
            f"The label of sample {row} is {numbers[row]:g}, which is not a class: give whole numbers or strings."
        )
    return numbers.astype(np.int64)


def is_one_hot(array: NDArray[Any]) -> bool:
    """Whether each row is 1 in one column and 0 in the others."""
    return array.ndim == 2 and array.dtype.kind in "biuf" and is_zero_or_one(array) and bool((array.sum(1) == 1).all())


def is_zero_or_one(array: NDArray[Any]) -> bool:
    """Whether all numbers are exactly 0 or 1."""
    return array.dtype.kind == "b" or bool(((array == 0) | (array == 1)).all())


def is_within_unit(array: NDArray[Any]) -> bool:
    """Whether all numbers lie in [0, 1], up to rounding."""
    return bool(((array >= -_ROUNDING) & (array <= 1 + _ROUNDING)).all())


def _read_classes(reading: OutputReading, array: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    if not reading.classes:
        return array if array.dtype.kind == "U" else _whole(reading, array)
    if isinstance(reading.classes[0], int):
        return _whole(reading, _as_numbers(array) if array.dtype.kind == "U" else array)
    if array.dtype.kind == "U":
        return array
    ids = _whole(reading, array)
    names = np.array(reading.classes)
    if _are_numbers(names):
        return ids.astype(str)
    if ids.min() < 0 or ids.max() >= len(names):
        row = int(np.flatnonzero((ids < 0) | (ids >= len(names)))[0])
        raise StudyInputError(
            f"Sample {row} is answered with class {ids[row]}, but there are {len(names)} classes: name all classes by "
            "--output classes=a,b,c."
        )
    return names[ids]


def _whole(reading: OutputReading, array: NDArray[Any]) -> NDArray[np.int64]:
    import numpy as np

    numbers = finite(array)
    is_between = (numbers > 0) & (numbers < 1)
    if reading.threshold is not None:
        numbers = np.where(is_between, numbers >= reading.threshold, numbers)
    odd = np.flatnonzero(numbers != np.round(numbers))
    if len(odd):
        raise StudyInputError(
            f"Sample {int(odd[0])} is answered with {numbers[odd[0]]:g}, which is not a class: classes are whole "
            "numbers. Choose another reading by --output."
        )
    return numbers.astype(np.int64)


def finite(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return the answers as finite numbers.

    Raises:
        StudyInputError: an answer is not a number, or is NaN or infinite; the message names the row.
    """
    import numpy as np

    numbers = _as_numbers(array) if array.dtype.kind == "U" else array.astype(np.float64)
    odd = np.argwhere(~np.isfinite(numbers))
    if len(odd):
        raise StudyInputError(
            f"Sample {int(odd[0][0])} is answered with NaN or an infinite number, so accuracy cannot be measured: "
            "check the model, or leave the sample out."
        )
    return numbers


def _as_numbers(array: NDArray[Any]) -> NDArray[np.float64]:
    import numpy as np

    try:
        return array.astype(np.float64)
    except ValueError as error:
        raise StudyInputError(
            f"A number was expected, but sample 0 is answered with {shown(str(array.flat[0]))}: choose another reading "
            "by --output."
        ) from error


def _are_numbers(names: NDArray[Any]) -> bool:
    return all(str(name).lstrip("-").isdigit() for name in names)


def _check_columns(reading: OutputReading, numbers: NDArray[Any]) -> None:
    if reading.kind not in BY_COLUMN | MULTILABEL:
        return
    if numbers.ndim != 2 or (reading.classes and numbers.shape[1] != len(reading.classes)):
        raise _misfit(reading, numbers)


def _check_range(reading: OutputReading, numbers: NDArray[Any]) -> None:
    import numpy as np

    if reading.kind not in PROBABILITIES | {"multilabel"}:
        return
    odd = np.argwhere((numbers < -1e-3) | (numbers > 1 + 1e-3))
    if len(odd):
        at = tuple(odd[0])
        raise StudyInputError(
            f"Sample {int(at[0])} is answered with {numbers[at]:g}, which is not a probability: "
            "choose another reading by --output."
        )


def _misfit(reading: OutputReading, array: NDArray[Any]) -> StudyInputError:
    return StudyInputError(
        f"Answers of the shape {array.shape} cannot be read as {reading.description}: choose another reading by "
        "--output."
    )
