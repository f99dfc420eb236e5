"""Use of each column of an estimator's data frames, and a copy of the estimator for the converters."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...backends.frame_columns import Column, FrameColumns, kind_of
from ...backends.number_rows import feature_names
from ...errors import ServiceError

_DROPPED = "drop"
_PASSED = "passthrough"


@dataclass(slots=True)
class _Use:
    """Use of one column: how often it is used, the values that its encoders know, whether they accept others, and the
    fills of its missing values.
    """

    count: int = 0
    categories: list[Any] = field(default_factory=list)
    takes_unknown: list[bool] = field(default_factory=list)
    fills: list[Any] = field(default_factory=list)


def columns_of(model: Any, frame: Any) -> FrameColumns:
    """Return the encoding of data frames like this one as arrays for the estimator.

    Raises:
        ServiceError: the frame has other columns than the estimator was fitted on, or a used column has neither numbers
            nor values that an encoder was fitted on.
    """
    names = feature_names(model)
    if names is None or list(frame.columns) != names:
        told = "no names of columns" if names is None else f"the columns {names}, in that order"
        raise ServiceError(f"the {type(model).__name__} was fitted on {told}, and the frame has {list(frame.columns)}")
    uses = [_Use() for _ in names]
    _read(best_of(model), list(range(len(names))), names, uses)
    return FrameColumns(
        [_column(name, use, frame.iloc[:, index]) for index, (name, use) in enumerate(zip(names, uses, strict=True))]
    )


def by_position(model: Any, columns: FrameColumns) -> Any:
    """Return a copy of the estimator that selects columns by position, and does not fill columns that the array fills.

    The copy shares all unchanged parts with the estimator.
    """
    filled = {
        index for index, column in enumerate(columns.columns) if column.kind == "known" or column.fill is not None
    }
    return _positioned(best_of(model), list(range(len(columns.names))), columns.names, filled)


def best_of(model: Any) -> Any:
    """Return the estimator that computes the outputs: of a search, its best estimator."""
    while hasattr(model, "best_estimator_"):
        model = model.best_estimator_
    return model


def _column(name: str, use: _Use, series: Any) -> Column:
    import numpy as np

    if not use.count:
        return Column(name, "unused")
    if use.categories:
        return _known_column(name, use)
    kind = kind_of(series.dtype)
    if kind == "flag":
        return Column(name, kind)
    if kind is None:
        raise ServiceError(f"the column {name} has dtype {series.dtype}: neither numbers nor input of an encoder")
    fill = _one_fill(use)
    fill = float(fill) if isinstance(fill, int | float) else None
    return Column(name, kind, fill=fill, is_single=series.dtype == np.float32)


def _one_fill(use: _Use) -> Any | None:
    """Return the fill of all uses of the column; None if fills differ, or if a use has none."""
    fills = [_plain(fill) for fill in use.fills]
    return fills[0] if len(fills) == use.count and all(fill == fills[0] for fill in fills) else None


def _known_column(name: str, use: _Use) -> Column:
    """Return the column of an encoder.

    Raises:
        ServiceError: its values are not all text, all integers or all bools, or two encoders know different values.
    """
    values = [_plain(value) for value in use.categories[0]]
    known = tuple(value for value in values if value == value and value is not None)
    kind = type(known[0]) if known else None
    if kind not in (str, int, bool) or any(type(value) is not kind for value in known):
        raise ServiceError(f"the known values of the encoder of the column {name} are not all text, integers or bools")
    if any(list(map(_plain, other)) != values for other in use.categories[1:]):
        raise ServiceError(f"the column {name} is encoded twice, with different known values")
    fill = _one_fill(use)
    missing = known.index(fill) if type(fill) is kind and fill in known else None
    # Other uses of the column may tell unknown values apart.
    are_alike = all(use.takes_unknown) and len(use.takes_unknown) == use.count and kind is not bool
    unknown = len(known) if are_alike else None
    return Column(name, "known", known=known, missing=missing, unknown=unknown)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _read(part: Any, positions: Sequence[int], names: Sequence[str], uses: Sequence[_Use]) -> None:
    """Note the uses of columns in a part of the estimator that gets the columns at `positions`."""
    if hasattr(part, "transformers_"):
        given = [names[position] for position in positions]
        for _, transformer, columns in part.transformers_:
            if not _is(transformer, _DROPPED):
                _read(transformer, [positions[index] for index in _indices(columns, given)], names, uses)
        return
    if hasattr(part, "steps"):
        _read_steps(part, positions, names, uses)
        return
    for position in positions:
        uses[position].count += 1
    if _is_encoder(part, positions):
        is_of_sklearn = type(part).__module__.startswith("sklearn.")  # treats all unknown values alike
        takes_unknown = is_of_sklearn and getattr(part, "handle_unknown", "error") != "error"
        for position, values in zip(positions, part.categories_, strict=True):
            uses[position].categories.append(values)
            uses[position].takes_unknown.append(takes_unknown)


def _read_steps(part: Any, positions: Sequence[int], names: Sequence[str], uses: Sequence[_Use]) -> None:
    """Note the uses in the first step; if it fills missing values, also in the next step."""
    steps = _steps_of(part)
    if steps and _is_filler(steps[0][1], positions):
        for position, fill in zip(positions, steps[0][1].statistics_, strict=True):
            uses[position].fills.append(fill)
        steps = steps[1:]
        if steps and hasattr(steps[0][1], "transformers_"):  # the filled columns have no names any more
            steps = []
    _read(steps[0][1] if steps else None, positions, names, uses)


def _steps_of(part: Any) -> list[tuple[str, Any]]:
    return [(name, step) for name, step in part.steps if not _is(step, _PASSED) and step is not None]


def _positioned(part: Any, positions: Sequence[int], names: Sequence[str], filled: set[int]) -> Any:
    if hasattr(part, "transformers_"):
        copied = copy.copy(part)
        given = [names[position] for position in positions]
        selected = [(name, each, _indices(columns, given)) for name, each, columns in part.transformers_]
        copied.transformers_ = [
            (name, _positioned(each, [positions[index] for index in indices], names, filled), indices)
            for name, each, indices in selected
        ]
        return copied
    if not getattr(part, "steps", None):
        return part
    steps = _steps_of(part)
    if steps and _is_filler(steps[0][1], positions) and filled.issuperset(positions):
        steps = steps[1:] or [("passed", _PASSED)]
    copied = copy.copy(part)
    copied.steps = (
        [(steps[0][0], _positioned(steps[0][1], positions, names, filled)), *steps[1:]] if steps else part.steps
    )
    return copied


def _indices(columns: Any, names: Sequence[str]) -> list[int]:
    """Return the positions that a ColumnTransformer selects by names, by positions, by a slice of either, or a mask."""
    if isinstance(columns, slice):
        start, stop = (names.index(end) if isinstance(end, str) else end for end in (columns.start, columns.stop))
        if isinstance(columns.stop, str):
            stop += 1  # a slice of names includes its end
        return list(range(len(names)))[slice(start, stop, columns.step)]
    if isinstance(columns, str | int):
        columns = [columns]
    found = [_plain(column) for column in columns]
    if found and all(isinstance(column, bool) for column in found):
        return [index for index, is_selected in enumerate(found) if is_selected]
    places = [names.index(column) if isinstance(column, str) else column for column in found]
    return [place % len(names) for place in places]


def _is(part: Any, word: str) -> bool:
    return isinstance(part, str) and part == word


def _is_encoder(part: Any, positions: Sequence[int]) -> bool:
    categories = getattr(part, "categories_", None)
    return isinstance(categories, list) and len(categories) == len(positions)


def _is_filler(part: Any, positions: Sequence[int]) -> bool:
    """Whether the part fills missing values (NaN), and leaves all other values and the columns unchanged."""
    statistics = getattr(part, "statistics_", None)
    if statistics is None or len(statistics) != len(positions) or getattr(part, "add_indicator", False):
        return False
    if any(fill != fill for fill in statistics):  # a column without values, which the part drops
        return False
    missing = getattr(part, "missing_values", None)
    has_all = getattr(part, "n_features_in_", None) == len(positions)
    return has_all and isinstance(missing, float) and missing != missing
