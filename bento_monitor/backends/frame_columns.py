"""Conversion of data frames of numbers, texts and categories to one array, for an estimator fitted on columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .number_rows import is_frame

# A column holds: "number" integers or floats, "flag" bools, "known" values that an encoder was fitted on, and "unused"
# values that the estimator drops.
ColumnKind = Literal["number", "flag", "known", "unused"]
_DOUBLE_BYTES = 8
_OF_NUMPY: Mapping[str, ColumnKind] = {"f": "number", "i": "number", "u": "number", "b": "flag"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the frames that an estimator takes.

    Numbers are float64 or integers, or with `is_single` only float32: with other types, an estimator may compute
    differently. `fill` is the number that replaces a missing one; None if the graph answers missing numbers, if it can.
    `known` are the values of a "known" column: all text, all integers or all bools. In the array, each value is its
    position in `known`. `missing` is the position for a missing value (NaN), and `unknown` that for any other value of
    the same type; None if the estimator itself must answer these. With `is_none_missing`, None is a missing value like
    NaN: pandas stores a column of only missing values that way.
    """

    name: str
    kind: ColumnKind
    fill: float | None = None
    known: tuple[str | int | bool, ...] = ()
    missing: int | None = None
    unknown: int | None = None
    is_none_missing: bool = False
    is_single: bool = False


class FrameColumns:
    """The columns of an estimator's frames, in order, and their conversion to a float64 array `(n, columns)`."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.names = [column.name for column in columns]
        self._position_of = [{value: place for place, value in enumerate(column.known)} for column in columns]

    @classmethod
    def from_text(cls, text: str) -> FrameColumns:
        """Read the columns from the JSON of `to_text`."""
        return cls([Column(**{**entry, "known": tuple(entry["known"])}) for entry in json.loads(text)])

    def to_text(self) -> str:
        """Return the columns as JSON."""
        return json.dumps([asdict(column) for column in self.columns])

    def rows(self, value: Any) -> Any | None:
        """Return the array for a frame; None for anything else, or if a value has no position."""
        import numpy as np

        if not is_frame(value) or list(value.columns) != self.names:
            return None
        rows = np.zeros((len(value), len(self.columns)))
        for index, column in enumerate(self.columns):
            if column.kind == "unused":
                continue
            numbers = self._numbers(index, value.iloc[:, index])
            if numbers is None:
                return None
            rows[:, index] = numbers
        return rows

    def _numbers(self, index: int, series: Any) -> Any | None:
        """Return one column of the array; None if it cannot be converted."""
        import numpy as np

        column, dtype = self.columns[index], series.dtype
        if column.kind == "known":
            return self._positions(index, series.to_numpy(object).tolist())
        if _holds(column, dtype):
            numbers = series.to_numpy()
        elif column.is_none_missing and dtype.kind == "O" and all(value is None for value in series.tolist()):
            numbers = np.full(len(series), np.nan)
        else:
            return None
        is_filled = column.fill is not None and numbers.dtype.kind == "f"
        return np.where(np.isnan(numbers), column.fill, numbers) if is_filled else numbers

    def _positions(self, index: int, values: list[Any]) -> list[int] | None:
        """Return the position of each value of a "known" column; None if a value has none."""
        column, places = self.columns[index], self._position_of[index]
        kind = type(column.known[0])
        found = []
        for value in values:
            place = places.get(value) if type(value) is kind else None
            place = _other(column, value, kind) if place is None else place
            if place is None:
                return None
            found.append(place)
        return found


def kind_of(dtype: Any) -> ColumnKind | None:
    """Return whether a pandas column of that type holds numbers or flags; None if neither."""
    import numpy as np

    return _OF_NUMPY.get(dtype.kind) if isinstance(dtype, np.dtype) else None


def _holds(column: Column, dtype: Any) -> bool:
    """Whether a pandas column of this type can be `column`, a number or flag column."""
    import numpy as np

    if kind_of(dtype) != column.kind:
        return False
    is_double = dtype.kind != "f" or dtype.itemsize == _DOUBLE_BYTES
    return bool(dtype == np.float32) if column.is_single else is_double


def _other(column: Column, value: Any, kind: type) -> int | None:
    """Return the position of a value that is not in `known`, or is of another type; None if it has none."""
    if type(value) is kind:
        return column.unknown
    is_missing = column.is_none_missing if value is None else isinstance(value, float) and value != value
    return column.missing if is_missing else None
