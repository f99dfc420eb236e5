"""Requests with labels, and the checks that all data formats share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bento_monitor.lab.model_host.messages import ApiDescription

from ..errors import StudyInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SAMPLES = 2
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """The bodies of n requests, one per sample, and their labels `(n, ...)`, or None.

    `form` describes in words how a sample is sent. `groups` `(n,)` names the group of each sample: samples of one group
    belong together, such as all windows of one machine.
    """

    bodies: tuple[bytes, ...]
    content_type: str
    labels: NDArray[Any] | None
    form: str
    groups: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file or folder, read before the API to which its samples are sent is known.

    `how_to_label` describes how to add labels to a file of this format.
    """

    path: Path
    how_to_label: str
    labels: NDArray[Any] | None
    requests_for: Callable[[ApiDescription], Sequence[EvaluationData]]
    """The ways to send the samples to an API, the most usual first; raises StudyInputError if there is none."""


def groups_array(path: Path, groups: Sequence[Any]) -> NDArray[Any]:
    """Return the names of groups as an array of strings.

    Raises:
        StudyInputError: a name is neither a whole number nor a text.
    """
    import numpy as np

    for name in groups:
        if isinstance(name, bool) or not isinstance(name, int | str):
            raise StudyInputError(f"{path}: the group {name!r} is neither a text nor a whole number.")
    return np.array([str(name) for name in groups])


def labels_array(path: Path, labels: Sequence[Any]) -> NDArray[Any]:
    """Return labels as an array of numbers, booleans or strings.

    Raises:
        StudyInputError: the labels have several types or shapes.
    """
    import numpy as np

    kinds = {str if isinstance(leaf, str) else float for label in labels for leaf in _leaves(label)}
    if len(kinds) == 1 and all(leaf is not None for label in labels for leaf in _leaves(label)):
        try:
            array = np.array(labels)
        except ValueError:  # labels of several shapes
            array = np.empty(0, dtype=object)
        if array.dtype.kind in "biufU":
            check_finite(path, "label", array)
            return array
    raise StudyInputError(
        f"{path}: the labels have several types or shapes, such as {labels[0]!r}: give only numbers or only "
        "texts, of one shape."
    )


def check_count(path: Path, count: int) -> None:
    """Raise StudyInputError if there are fewer than two samples."""
    if count < MIN_SAMPLES:
        raise StudyInputError(f"{path} has {count} sample(s); at least {MIN_SAMPLES} are needed.")


def check_finite(path: Path, name: str, array: NDArray[Any]) -> None:
    """Raise StudyInputError if a number is NaN or infinite."""
    import numpy as np

    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise StudyInputError(f"{path}: {name!r} has a NaN or infinite number in row {row}.")


def _leaves(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]
