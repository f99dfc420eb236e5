"""Captured calls of an estimator: which could be those of a graph, and their rows as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..backends.number_rows import feature_names, number_rows, row_form
from ..backends.own import OwnModel
from ..errors import ServiceError
from .estimator_parity import is_answered_alike
from .state import CapturedCall


def require_rows(runner: str, own: OwnModel, calls: Sequence[CapturedCall]) -> None:
    """Raise ServiceError unless the estimator is called with rows of numbers alone, which arrays can stand for."""
    names = feature_names(own.model)
    for call in calls:
        flags = {name: value for name, value in call.inputs.items() if name not in own.names}
        if flags:
            told = ", ".join(f"{name}={value!r:.40}" for name, value in flags.items())
            raise ServiceError(
                f"The model {runner} is called with {told}: a release answers calls with rows alone. Leave it away, or "
                "set it in the estimator; the model is served and traced as it is."
            )
        for value in call.inputs.values():
            rows = number_rows(value, names)
            if rows is None and row_form(value) is not None:
                raise ServiceError(
                    f"The model {runner} is given a {type(value).__name__} that is no table of numbers with the "
                    "features it was fitted on: only numbers can be served as ONNX. Encode text and categories in the "
                    "service; the model is served and traced as it is."
                )
            if row_form(value) in ("list", "frame") and not is_answered_alike(own, list(call.outputs), value, rows):
                raise ServiceError(
                    f"The model {runner} answers a {type(value).__name__} otherwise than an array of its numbers, as "
                    "where columns are selected by name: no release can be made of it. Select them by position; the "
                    "model is served and traced as it is."
                )


def calls_of_arrays(own: OwnModel, calls: Sequence[CapturedCall]) -> list[CapturedCall]:
    """The calls with lists and data frames of numbers as arrays; what is neither stays."""
    names = feature_names(own.model)
    found = []
    for call in calls:
        rows = {name: number_rows(value, names) for name, value in call.inputs.items()}
        found.append(replace(call, inputs={name: call.inputs[name] if r is None else r for name, r in rows.items()}))
    return found
