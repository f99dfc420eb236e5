"""An estimator as a function of arrays, also if the service calls it with data frames."""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from ...backends.frame_columns import Column, FrameColumns
from ...backends.own import OwnModel

_CLASSIFYING = ("binary", "multiclass", "multiclassova", "cross_entropy")


@dataclass(frozen=True, slots=True)
class Frames:
    """The encoding of data frames as arrays, and a sample frame for the dtypes and for values of unused columns."""

    columns: FrameColumns
    sample: Any

    def of_rows(self, rows: Any) -> Any:
        """Return the frame that an array `(n, columns)` represents; integer columns without fractions stay integers."""
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
    """The user's estimator as a function of arrays; with `frames`, it gets the frames that the arrays represent."""

    own: OwnModel
    frames: Frames | None = None

    @property
    def model(self) -> Any:
        """The estimator."""
        return self.own.model

    @property
    def name(self) -> str:
        """Name of the estimator's class, for messages."""
        return type(self.model).__name__

    def unit_of(self, method: str) -> float:
        """Return the size of a method's outputs: 1 for probabilities, however small; 0 if the outputs show it.

        A float32 graph computes the probability of a rare class with the rounding of the other one, which is near 1.
        """
        return 1.0 if method == "predict_proba" or _is_classifying_booster(self.model) else 0.0

    def answer(self, method: str, rows: Any) -> Any:
        """Return a method's output for an array of rows, which the method cannot change."""
        return self.answer_given(method, rows.copy() if self.frames is None else self.frames.of_rows(rows))

    def answer_given(self, method: str, value: Any) -> Any:
        """Return a method's output for a value as the service gives it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # arrays have no feature names
            return self.own.run((value,), {}, method)


def _is_classifying_booster(model: Any) -> bool:
    """Whether `predict` of a bare booster of LightGBM returns probabilities."""
    booster = getattr(sys.modules.get("lightgbm"), "Booster", None)
    is_booster = isinstance(booster, type) and isinstance(model, booster)
    if not is_booster:
        return False
    objective = re.search(r"^objective=(\w+)", model.model_to_string(num_iteration=1), flags=re.MULTILINE)
    return objective is not None and objective[1] in _CLASSIFYING


def unknown_value(column: Column) -> str | int | bool:
    """Return a value of the column's type that no encoder was fitted on; for bools, return the first value."""
    first = column.known[0]
    if not isinstance(first, str):
        return first if isinstance(first, bool) else max(int(value) for value in column.known) + 1
    value = "unknown"
    while value in column.known:
        value += "?"
    return value
