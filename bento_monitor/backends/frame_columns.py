"""Data frames of numbers, texts and categories as one array of numbers, for an estimator that is fitted on columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .number_rows import is_frame

# "number" is an integer or float, "flag" a bool, "known" one of the values that an encoder was fitted on, and "unused"
# what the estimator drops.
ColumnKind = Literal["number", "flag", "known", "unused"]
_DOUBLE_BYTES = 8
_OF_NUMPY: Mapping[str, ColumnKind] = {"f": "number", "i": "number", "u": "number", "b": "flag"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the frames that an estimator is given.

    Numbers are float64 and integers, or with `is_single` float32 alone: of others an estimator may compute otherwise.
    `fill` is the number that stands for a missing one; None where these are the graph's to answer, if it can.
    `known` are the values of a column of that kind, all text, all integers or all bools: in the array, each is its
    place among them. `missing` is the place that stands for a missing value (NaN), and `unknown` that for any other
    of the same type; None where the estimator itself must answer them. With `is_none_missing`, None is a missing value
    as NaN is: so pandas has a column of nothing else.
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
    """The columns of an estimator's frames, in order, and how they stand in an array `(n, columns)` of float64."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.names = [column.name for column in columns]
        self._places = [{value: place for place, value in enumerate(column.known)} for column in columns]

    @classmethod
    def from_text(cls, text: str) -> FrameColumns:
        """Read what `to_text` gave."""
        return cls([Column(**{**entry, "known": tuple(entry["known"])}) for entry in json.loads(text)])

    def to_text(self) -> str:
        """Give it as JSON."""
        return json.dumps([asdict(column) for column in self.columns])

    def rows(self, value: Any) -> Any | None:
        """The array for a frame; None for anything else, and where a value is one that has no place."""
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
        """One column of the array."""
        import numpy as np

        column, dtype = self.columns[index], series.dtype
        if column.kind == "known":
            return self._found_places(index, series.to_numpy(object).tolist())
        if _holds(column, dtype):
            numbers = series.to_numpy()
        elif column.is_none_missing and dtype.kind == "O" and all(value is None for value in series.tolist()):
            numbers = np.full(len(series), np.nan)
        else:
            return None
        is_filled = column.fill is not None and numbers.dtype.kind == "f"
        return np.where(np.isnan(numbers), column.fill, numbers) if is_filled else numbers

    def _found_places(self, index: int, values: list[Any]) -> list[int] | None:
        """The place of each value of a column whose values are known."""
        column, places = self.columns[index], self._places[index]
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
    """What a column of pandas with that type is: a number or a flag; None where it is neither."""
    import numpy as np

    return _OF_NUMPY.get(dtype.kind) if isinstance(dtype, np.dtype) else None


def _holds(column: Column, dtype: Any) -> bool:
    """Whether a column of pandas' type can be one of numbers or flags."""
    import numpy as np

    if kind_of(dtype) != column.kind:
        return False
    is_double = dtype.kind != "f" or dtype.itemsize == _DOUBLE_BYTES
    return bool(dtype == np.float32) if column.is_single else is_double


def _other(column: Column, value: Any, kind: type) -> int | None:
    """The place of a value that is not among the known ones, or is of another type than these."""
    if type(value) is kind:
        return column.unknown
    is_missing = column.is_none_missing if value is None else isinstance(value, float) and value != value
    return column.missing if is_missing else None
