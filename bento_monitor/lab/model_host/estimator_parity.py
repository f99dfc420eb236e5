"""Comparison of an ONNX graph with the estimator that it was made from: on given rows, and on rows like them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...backends.number_rows import RowForm, feature_names
from ...backends.onnxruntime import as_input, default_session, input_dtypes
from ...errors import BentoMonitorError
from .array_estimator import ArrayEstimator, Frames
from .closeness import LARGEST
from .messages import Parity
from .state import CapturedCall

_RELATIVE = 1e-5
# If two classes, or the two sides of a split, are nearly equal, rounding decides.
_TIES_SHARE = 0.001
_MAX_ROWS = 2000
_NOISE = 0.01
_PLANTED_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class MethodParity:
    """Number of rows in which a method's output differs from the estimator's, and the largest difference.

    `max_difference` is 0 for class labels. `is_refused` is true if the estimator raised an error for such rows.
    """

    method: str
    rows: int
    differing: int
    max_difference: float
    is_refused: bool = False

    @property
    def holds(self) -> bool:
        """Whether nearly all rows agree: of fewer than 1,000 rows, none may differ."""
        return self.differing <= _TIES_SHARE * self.rows

    @property
    def description(self) -> str:
        """The difference in words."""
        if self.is_refused:
            return f"{self.method} of the estimator refuses values, such as 0 or -1, that a graph would accept"
        return f"{self.method} differs from the estimator's in {self.differing} of {self.rows} rows"


def captured_rows(calls: Sequence[CapturedCall]) -> Any:
    """Return the rows of captured calls, whose one argument is an array `(n, features)`, as one array."""
    import numpy as np

    return np.concatenate([array for call in calls for array in call.inputs.values()])


def graph_parity(
    estimator: ArrayEstimator, methods: Sequence[str], path: Path, calls: Sequence[CapturedCall]
) -> Parity:
    """Compare the graph with the estimator on captured rows, and on rows like them.

    Raises:
        BentoMonitorError: the graph cannot be loaded or run.
    """
    found = check_parity(estimator, methods, path, captured_rows(calls))
    failed = next((each for each in found if not each.holds), None)
    difference = max(each.max_difference for each in found)
    told = None if failed is None else failed.description
    return Parity(min(difference, LARGEST), 1.0, sum(each.rows for each in found), told)


def check_parity(estimator: ArrayEstimator, methods: Sequence[str], path: Path, rows: Any) -> tuple[MethodParity, ...]:
    """Compare the graph at `path` with the estimator on `rows` and on perturbed ones.

    A graph would accept values that an estimator refuses, such as an unknown category: such a method differs.

    Raises:
        BentoMonitorError: the graph cannot be loaded or run.
    """
    session = default_session(path)
    tried = perturbed_rows(rows, estimator.frames)
    found = [[_compare(estimator, method, session, each) for method in methods] for each in tried]
    return tuple(_sum(parts) for parts in zip(*found, strict=True))


def answers_missing_values(estimator: ArrayEstimator, methods: Sequence[str], path: Path, rows: Any) -> bool:
    """Whether the graph agrees with all methods of the estimator on rows with missing values (NaN).

    Raises:
        BentoMonitorError: the graph cannot be loaded or run.
    """
    import numpy as np

    if rows.dtype.kind != "f":
        return False
    session = default_session(path)
    return all(
        (parity := _compare(estimator, method, session, tried)).holds and not parity.is_refused
        for tried in _planted(mixed_rows(rows), np.nan, estimator.frames)
        for method in methods
    )


def forms_alike(estimator: ArrayEstimator, methods: Sequence[str], rows: Any) -> list[RowForm]:
    """Return the forms of rows, list and data frame, for which the outputs are those for an array of the numbers."""
    mixed = mixed_rows(rows)
    forms: dict[RowForm, Any] = {"list": mixed.tolist()}
    if (pandas := sys.modules.get("pandas")) is not None:
        names = feature_names(estimator.model) or [f"feature {index}" for index in range(rows.shape[1])]
        forms["frame"] = pandas.DataFrame(mixed, columns=names) if len(names) == rows.shape[1] else None
    return [form for form, value in forms.items() if is_answered_alike(estimator, methods, value, mixed)]


def is_answered_alike(estimator: ArrayEstimator, methods: Sequence[str], value: Any, rows: Any) -> bool:
    """Whether the methods' outputs for `value` and for the array of its rows agree, up to the order of sums."""
    try:
        pairs = {m: (estimator.answer_given(m, value), estimator.answer(m, rows)) for m in methods}
    except Exception:
        return False
    return all(
        type(left) is type(right) and not compare(method, left, right, estimator.unit_of(method)).differing
        for method, (left, right) in pairs.items()
    )


def _compare(estimator: ArrayEstimator, method: str, session: Any, rows: Any) -> MethodParity:
    ((name, dtype),) = input_dtypes(session).items()
    try:
        expected = estimator.answer(method, rows)
    except Exception:
        return MethodParity(method, len(rows), len(rows), float("inf"), is_refused=True)
    try:
        (answer,) = session.run([method], {name: as_input(rows, dtype)})
    except Exception as error:
        raise BentoMonitorError(f"The ONNX graph of the estimator fails: {error}") from error
    return compare(method, expected, answer, estimator.unit_of(method))


def perturbed_rows(rows: Any, frames: Frames | None) -> list[Any]:
    """Return the rows, and rows mixed from them: unchanged, with a little noise, and with special values planted.

    To some estimators 0 and -1 are not numbers, but a missing value or a category. A column with known values has each
    of them, and no others.
    """
    import numpy as np

    mixed = mixed_rows(rows)
    found = [rows, mixed]
    if rows.dtype.kind == "f":
        spread = np.nanstd(np.where(np.isfinite(rows), rows, np.nan), axis=0)
        noise = np.random.default_rng(1).normal(size=mixed.shape) * spread * _NOISE
        found.append(_with_places((mixed + noise).astype(rows.dtype), mixed, frames))
    for value in (0, -1) if rows.dtype.kind in "fi" else (0,):
        found += _planted(mixed, value, frames)
    return found


def mixed_rows(rows: Any) -> Any:
    """Return rows mixed from the given ones, column by column."""
    import numpy as np

    generator = np.random.default_rng(0)
    count = min(max(len(rows), 256), _MAX_ROWS)
    return np.column_stack([generator.choice(column, count) for column in rows.T]).astype(rows.dtype)


def _with_places(changed: Any, rows: Any, frames: Frames | None) -> Any:
    """Restore the columns of changed rows that hold no numbers; give columns with known values all their indices."""
    import numpy as np

    for index, column in enumerate(() if frames is None else frames.columns.columns):
        if column.kind == "known":
            places = len(column.known) + (column.unknown is not None)
            changed[:, index] = np.random.default_rng(3 + index).permutation(np.arange(len(rows)) % places)
        elif column.kind != "number":
            changed[:, index] = rows[:, index]
    return changed


def _planted(rows: Any, value: float, frames: Frames | None) -> list[Any]:
    """Return the rows with the value in a fifth of the cells, and rows with the value in one column each, in turn."""
    import numpy as np

    cells = np.random.default_rng(2).random(rows.shape) < _PLANTED_SHARE
    alone = np.arange(len(rows))[:, None] % rows.shape[1] == np.arange(rows.shape[1])
    found = [np.where(where, np.array(value, rows.dtype), rows) for where in (cells, alone)]
    found[0][0] = value  # a row of only this value
    return [_with_places(each, rows, frames) for each in found]


def compare(method: str, expected: Any, found: Any, unit: float = 0.0) -> MethodParity:
    """Count the rows in which outputs of a method differ: unequal labels, numbers by more than 1e-5 of their size.

    Their size is at least `unit`.
    """
    import numpy as np

    expected, found = np.asarray(expected), np.asarray(found)
    count = len(expected)
    if expected.shape != found.shape:
        return MethodParity(method, count, count, float("inf"))
    if expected.dtype.kind != "f":
        differs = expected.astype(str) != found.astype(str if expected.dtype.kind in "OU" else expected.dtype).astype(
            str
        )
        return MethodParity(method, count, _rows_of(differs), 0.0)
    with np.errstate(invalid="ignore"):
        difference = np.abs(expected.astype(float) - found.astype(float))
        difference[(expected == found) | (np.isnan(expected) & np.isnan(found))] = 0
        difference[np.isnan(difference)] = np.inf
        finite = expected[np.isfinite(expected)].astype(float)
        size = max(float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0, unit)
        differs = difference > _RELATIVE * np.maximum(np.abs(np.nan_to_num(expected, posinf=0, neginf=0)), size)
    return MethodParity(method, count, _rows_of(differs), float(difference.max(initial=0.0)))


def _rows_of(differs: Any) -> int:
    return int(differs.reshape(len(differs), -1).any(axis=1).sum()) if differs.size else 0


def _sum(parts: Sequence[MethodParity]) -> MethodParity:
    """Return the worst of the comparisons: each kind of rows must agree on its own."""
    return max(parts, key=lambda part: (not part.holds, part.differing / max(part.rows, 1)))
