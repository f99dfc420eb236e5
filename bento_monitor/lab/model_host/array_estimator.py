"""An estimator as a function of arrays, where a service gives it data frames of columns that arrays stand for."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from ...backends.frame_columns import Column, FrameColumns
from ...backends.own import OwnModel


@dataclass(frozen=True, slots=True)
class Frames:
    """How frames stand in arrays, and one that a service gave: its dtypes, and values for what is dropped."""

    columns: FrameColumns
    sample: Any

    def of_rows(self, rows: Any) -> Any:
        """The frame that an array `(n, columns)` stands for; a column of integers alone is one of integers."""
        import pandas as pd

        series = {
            column.name: self._series(column, rows[:, index], self.sample.iloc[:, index])
            for index, column in enumerate(self.columns.columns)
        }
        return pd.DataFrame(series)

    def _series(self, column: Column, numbers: Any, sample: Any) -> Any:
        import pandas as pd

        if column.kind == "unused":
            return pd.Series([sample.iloc[0]] * len(numbers), dtype=sample.dtype)
        if column.kind == "known":
            values = [*column.known, unknown_value(column)]
            dtype = object if isinstance(sample.dtype, pd.CategoricalDtype) else sample.dtype
            return pd.Series([values[place] for place in numbers.astype(int)], dtype=dtype)
        if column.kind == "flag":
            return pd.Series(numbers != 0)
        if sample.dtype.kind in "iu" and (numbers % 1 == 0).all():
            return pd.Series(numbers.astype("int64"))
        return pd.Series(numbers if sample.dtype.kind != "f" else numbers.astype(sample.dtype))


@dataclass(frozen=True, slots=True)
class ArrayEstimator:
    """The user's estimator, called with arrays; with `frames`, it is given the frames that these stand for."""

    own: OwnModel
    frames: Frames | None = None

    @property
    def model(self) -> Any:
        """The estimator."""
        return self.own.model

    @property
    def name(self) -> str:
        """Its class, as messages call it."""
        return type(self.model).__name__

    def answer(self, method: str, rows: Any) -> Any:
        """What a method answers for an array of rows, which it may write to."""
        return self.answer_given(method, rows.copy() if self.frames is None else self.frames.of_rows(rows))

    def answer_given(self, method: str, value: Any) -> Any:
        """What a method answers for a value as a service gives it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an array has no names of features
            return self.own.run((value,), {}, method)


def unknown_value(column: Column) -> str | int | bool:
    """A value of the column's type that no encoder was fitted on; of bools there is none, and the first stands in."""
    first = column.known[0]
    if not isinstance(first, str):
        return first if isinstance(first, bool) else max(int(value) for value in column.known) + 1
    value = "unknown"
    while value in column.known:
        value += "?"
    return value
