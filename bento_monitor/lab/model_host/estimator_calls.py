"""Captured calls of an estimator: check that a graph can serve them, and convert their rows to arrays."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...backends.frame_columns import Column, FrameColumns
from ...backends.number_rows import feature_names, is_frame, number_rows, row_form
from ...backends.own import OwnModel
from ...errors import ServiceError
from .array_estimator import ArrayEstimator, Frames
from .estimator_columns import columns_of
from .estimator_parity import is_answered_alike
from .state import CapturedCall

_AS_IT_IS = "the model is served and traced as it is"


def array_estimator(runner: str, own: OwnModel, calls: Sequence[CapturedCall]) -> ArrayEstimator:
    """Return the estimator as a function of arrays that can represent the rows of all calls.

    Raises:
        ServiceError: the estimator is called with arguments other than rows, or with rows that no array can represent.
    """
    for call in calls:
        if flags := {name: value for name, value in call.inputs.items() if name not in own.names}:
            told = ", ".join(f"{name}={value!r:.40}" for name, value in flags.items())
            raise ServiceError(
                f"The model {runner} is called with {told}: a release takes calls with rows only. Omit the argument, "
                f"or set it in the estimator; {_AS_IT_IS}."
            )
    values = [value for call in calls for value in call.inputs.values()]
    methods = list(dict.fromkeys(method for call in calls for method in call.outputs))
    estimator = ArrayEstimator(own, _frames(runner, own, values, methods))
    taken = [value for value in values if _rows(estimator, value) is not None]
    for value in taken if len(taken) > len(values) / 2 else values:
        _require_alike(runner, estimator, methods, value)
    return estimator


def calls_as_arrays(estimator: ArrayEstimator, calls: Sequence[CapturedCall]) -> list[CapturedCall]:
    """Return the calls with arrays instead of lists and data frames.

    Values that have no array stay unchanged; if frames are encoded, a call with a frame that has no array is left out.
    """
    found = []
    for call in calls:
        rows = {name: _rows(estimator, value) for name, value in call.inputs.items()}
        if estimator.frames is not None and any(array is None for array in rows.values()):
            continue
        found.append(replace(call, inputs={name: call.inputs[name] if r is None else r for name, r in rows.items()}))
    return found


def _frames(runner: str, own: OwnModel, values: Sequence[Any], methods: Sequence[str]) -> Frames | None:
    """Return the encoding of data frames as arrays; None without frames, or if they are plain tables of numbers."""
    if not all(map(is_frame, values)):
        return None
    frame = _together(values)
    plain = number_rows(frame, feature_names(own.model))
    is_plain = plain is not None and is_answered_alike(ArrayEstimator(own), methods, frame, plain)
    try:
        columns = columns_of(own.model, frame)
    except ServiceError as error:
        if is_plain:
            return None
        raise ServiceError(
            f"The model {runner} gets a data frame that a graph cannot take: {error}. Encode it in the service; "
            f"{_AS_IT_IS}."
        ) from error
    if is_plain and not any(column.kind == "known" for column in columns.columns):
        return None
    return Frames(FrameColumns([_as_seen(own, frame, methods, each) for each in columns.columns]), frame)


def _together(frames: Sequence[Any]) -> Any:
    """Return one frame of all rows: in a frame of few rows, a column of only missing values has another dtype."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about empty columns
        return pd.concat(frames, ignore_index=True).infer_objects()


def _as_seen(own: OwnModel, frame: Any, methods: Sequence[str], column: Column) -> Column:
    """Return the column, with a fill for missing values only if the estimator was seen to treat them like the fill."""
    import pandas as pd

    estimator, values = ArrayEstimator(own), frame[column.name]
    none = frame.assign(**{column.name: pd.Series([None] * len(frame), dtype=object)})
    nan = frame.assign(**{column.name: values.where(values.index < 0)})
    if column.kind == "number" and column.fill is None:
        return replace(column, is_none_missing=is_answered_alike(estimator, methods, none, nan))
    if column.fill is None and column.missing is None:
        return column
    fill = column.fill if column.missing is None else column.known[column.missing]
    filled = frame.assign(**{column.name: [fill] * len(frame)})
    if not is_answered_alike(estimator, methods, nan, filled):
        return replace(column, fill=None, missing=None)
    return replace(column, is_none_missing=is_answered_alike(estimator, methods, none, filled))


def _require_alike(runner: str, estimator: ArrayEstimator, methods: Sequence[str], value: Any) -> None:
    """Raise ServiceError if the rows have no array, or if the estimator's outputs for the array differ."""
    rows = _rows(estimator, value)
    kind = type(value).__name__
    if rows is None and row_form(value) is not None:
        raise ServiceError(
            f"The model {runner} is called with a {kind} that is neither a table of numbers with the features it was "
            "fitted on, nor of values that its encoders know: only these can be served as ONNX. Encode it in the "
            f"service; {_AS_IT_IS}."
        )
    if row_form(value) in ("list", "frame") and not is_answered_alike(estimator, methods, value, rows):
        raise ServiceError(
            f"The model {runner} gives other outputs for a {kind} than for an array of its numbers: no release can be "
            f"made of it; {_AS_IT_IS}."
        )


def _rows(estimator: ArrayEstimator, value: Any) -> Any | None:
    if estimator.frames is not None:
        return estimator.frames.columns.rows(value)
    return number_rows(value, feature_names(estimator.model))
