"""Whether an ONNX graph answers as the estimator that it was made of: on given rows, and on rows like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..backends.onnxruntime import as_input, default_session, input_dtypes
from ..backends.own import OwnModel
from ..errors import BentoMonitorError
from .records import Parity
from .state import CapturedCall

_RELATIVE = 1e-5
# Where two classes, or the two sides of a split, are as good as equal, rounding decides.
_TIES_SHARE = 0.001
_MOST_ROWS = 2000
_NOISE = 0.01


@dataclass(frozen=True, slots=True)
class MethodParity:
    """How many of the rows a method's output answers otherwise than the estimator, and by how much at most.

    `max_difference` is 0 for class labels.
    """

    method: str
    rows: int
    differing: int
    max_difference: float

    @property
    def holds(self) -> bool:
        """Whether as good as all rows are answered alike: none of fewer than 1,000 may differ."""
        return self.differing <= _TIES_SHARE * self.rows


def captured_rows(calls: Sequence[CapturedCall]) -> Any:
    """The rows of captured calls, whose one argument is an array `(n, features)`, together."""
    import numpy as np

    return np.concatenate([array for call in calls for array in call.inputs.values()])


def graph_parity(own: OwnModel, methods: Sequence[str], path: Path, calls: Sequence[CapturedCall]) -> Parity:
    """How far the graph is from the estimator on captured rows, and on rows like them.

    Raises:
        BentoMonitorError: the graph cannot be loaded or run.
    """
    found = check_parity(own, methods, path, captured_rows(calls))
    failed = next((each for each in found if not each.holds), None)
    difference = max(each.max_difference for each in found)
    told = None if failed is None else f"{failed.differing} of {failed.rows} rows differ in {failed.method}"
    return Parity(difference, 1.0, sum(each.rows for each in found), told)


def check_parity(own: OwnModel, methods: Sequence[str], path: Path, rows: Any) -> tuple[MethodParity, ...]:
    """Compare the graph at `path` with the estimator on `rows` and on perturbed ones.

    Raises:
        BentoMonitorError: the graph cannot be loaded or run.
    """
    session = default_session(path)
    ((name, dtype),) = input_dtypes(session).items()
    found = []
    for tried in perturbed_rows(rows):
        try:
            expected = {method: own.run((tried,), {}, method) for method in methods}
        except Exception:  # the estimator takes no such rows, so there is nothing to compare
            if tried is rows:
                raise
            continue
        try:
            answers = session.run(list(methods), {name: as_input(tried, dtype)})
        except Exception as error:
            raise BentoMonitorError(f"The ONNX graph of the estimator fails: {error}") from error
        found.append([compare(method, expected[method], each) for method, each in zip(methods, answers, strict=True)])
    return tuple(_sum(parts) for parts in zip(*found, strict=True))


def perturbed_rows(rows: Any) -> list[Any]:
    """The rows; rows mixed of them, column by column; and, of floating point, these with a little noise."""
    import numpy as np

    generator = np.random.default_rng(0)
    count = min(max(len(rows), 256), _MOST_ROWS)
    mixed = np.column_stack([generator.choice(column, count) for column in rows.T]).astype(rows.dtype)
    if rows.dtype.kind != "f":
        return [rows, mixed]
    spread = np.nanstd(np.where(np.isfinite(rows), rows, np.nan), axis=0)
    noisy = mixed + generator.normal(size=mixed.shape) * spread * _NOISE
    return [rows, mixed, noisy.astype(rows.dtype)]


def compare(method: str, expected: Any, found: Any) -> MethodParity:
    """How many answers of a method differ: labels unless they are the same, numbers by more than 1e-5 of their size."""
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
        size = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
        differs = difference > _RELATIVE * np.maximum(np.abs(np.nan_to_num(expected, posinf=0, neginf=0)), size)
    return MethodParity(method, count, _rows_of(differs), float(difference.max(initial=0.0)))


def _rows_of(differs: Any) -> int:
    return int(differs.reshape(len(differs), -1).any(axis=1).sum()) if differs.size else 0


def _sum(parts: Sequence[MethodParity]) -> MethodParity:
    """Both kinds of rows must hold by themselves, so the worst of them counts."""
    return max(parts, key=lambda part: (not part.holds, part.differing / max(part.rows, 1)))
