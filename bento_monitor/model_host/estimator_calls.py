"""Captured calls of an estimator: which could be those of a graph, and their rows as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..backends.frame_columns import FrameColumns
from ..backends.number_rows import feature_names, is_frame, number_rows, row_form
from ..backends.own import OwnModel
from ..errors import ServiceError
from .array_estimator import ArrayEstimator, Frames
from .estimator_columns import columns_of
from .estimator_parity import is_answered_alike
from .state import CapturedCall

_AS_IT_IS = "the model is served and traced as it is"


def array_estimator(runner: str, own: OwnModel, calls: Sequence[CapturedCall]) -> ArrayEstimator:
    """The estimator as a function of arrays, which can stand for the rows of all calls.

    Raises:
        ServiceError: it is called with something else than rows, or with rows that no array can stand for.
    """
    for call in calls:
        if flags := {name: value for name, value in call.inputs.items() if name not in own.names}:
            told = ", ".join(f"{name}={value!r:.40}" for name, value in flags.items())
            raise ServiceError(
                f"The model {runner} is called with {told}: a release answers calls with rows alone. Leave it away, or "
                f"set it in the estimator; {_AS_IT_IS}."
            )
    estimator = ArrayEstimator(own, _frames(runner, own, calls[0]))
    for call in calls:
        for value in call.inputs.values():
            _require_alike(runner, estimator, list(call.outputs), value)
    return estimator


def calls_of_arrays(estimator: ArrayEstimator, calls: Sequence[CapturedCall]) -> list[CapturedCall]:
    """The calls with lists and data frames as the arrays that stand for them; what has none stays."""
    found = []
    for call in calls:
        rows = {name: _rows(estimator, value) for name, value in call.inputs.items()}
        found.append(replace(call, inputs={name: call.inputs[name] if r is None else r for name, r in rows.items()}))
    return found


def _frames(runner: str, own: OwnModel, call: CapturedCall) -> Frames | None:
    """How frames stand in arrays, where the estimator is given some that are no plain tables of numbers to it."""
    (value,) = call.inputs.values()
    if not is_frame(value):
        return None
    methods = list(call.outputs)
    plain = number_rows(value, feature_names(own.model))
    is_plain = plain is not None and is_answered_alike(ArrayEstimator(own), methods, value, plain)
    try:
        columns = columns_of(own.model, value)
    except ServiceError as error:
        if is_plain:
            return None
        raise ServiceError(
            f"The model {runner} is given a data frame that a graph cannot take: {error}. Encode it in the service; "
            f"{_AS_IT_IS}."
        ) from error
    if is_plain and not any(column.kind == "known" for column in columns.columns):
        return None
    return Frames(_with_seen_fills(own, columns, methods, value), value)


def _with_seen_fills(own: OwnModel, columns: FrameColumns, methods: Sequence[str], frame: Any) -> FrameColumns:
    """The columns, whose missing values stand for another only where the estimator was seen to answer them so."""
    found = []
    for index, column in enumerate(columns.columns):
        if column.missing is not None:
            filled, holed = frame.copy(), frame.copy()
            filled.isetitem(index, [column.known[column.missing]] * len(frame))
            holed.isetitem(index, filled.iloc[:, index].where([False] * len(frame)))
            if not is_answered_alike(ArrayEstimator(own), methods, holed, filled):
                found.append(replace(column, missing=None))
                continue
        found.append(column)
    return FrameColumns(found)


def _require_alike(runner: str, estimator: ArrayEstimator, methods: Sequence[str], value: Any) -> None:
    """Raise ServiceError where the rows have no array, or the estimator answers that otherwise."""
    rows = _rows(estimator, value)
    kind = type(value).__name__
    if rows is None and row_form(value) is not None:
        raise ServiceError(
            f"The model {runner} is given a {kind} that is no table of numbers with the features it was fitted on, nor "
            f"of values that its encoders know: only such can be served as ONNX. Encode it in the service; {_AS_IT_IS}."
        )
    if row_form(value) in ("list", "frame") and not is_answered_alike(estimator, methods, value, rows):
        raise ServiceError(
            f"The model {runner} answers a {kind} otherwise than an array of its numbers: no release can be made of "
            f"it; {_AS_IT_IS}."
        )


def _rows(estimator: ArrayEstimator, value: Any) -> Any | None:
    if estimator.frames is not None:
        return estimator.frames.columns.rows(value)
    return number_rows(value, feature_names(estimator.model))
