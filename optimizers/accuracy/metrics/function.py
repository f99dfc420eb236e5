"""A user-defined metric: `module:function`, called with the answers and the labels, and perhaps the groups."""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import StudyInputError
from ..answers import shown, take
from ..outputs import OutputReading
from ._base import Metric, Pooled, Scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LOWER = "lower"
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_CAP = "a sample's loss is capped at the range of the baseline's scores"
_GROUP_CAP = "a group is assumed to change the value by at most its share of max(1, |value|)"
_POOLED_CAP = "a sample is assumed to change the value by at most its share of max(1, |value|)"


def make_function(text: str, working_dir: Path | None) -> Metric:
    """Return the metric `module:function`, or `module:function:lower` if lower is better.

    `function(answers, labels)` returns a score for each sample, `(n,)`, or one number for all. It is also called with
    subsets of the samples. A function that returns one number is also called with resamples, in which samples repeat.

    A function of three parameters, `function(answers, labels, groups)`, returns one number. `groups` `(n,)` has the
    number of each sample's group. In a resample, whole groups repeat, and each copy of a group has a number of its own.

    Raises:
        StudyInputError: the function cannot be imported.
    """
    name, _, direction = text.partition(":")[2].partition(":")
    module = text.partition(":")[0]
    if direction not in ("", _LOWER) or not module or not name:
        raise StudyInputError(
            f"{text!r} is not a metric: name a function of your own as module:function, or module:function:lower if "
            "lower is better."
        )
    function = _import(module, name, working_dir)
    is_higher_better = direction != _LOWER

    def evaluate(answers: Any, labels: NDArray[Any], _reading: OutputReading) -> Scores | Pooled:
        return _evaluate(text, function, answers, labels, is_higher_better)

    def evaluate_groups(answers: Any, labels: NDArray[Any], groups: NDArray[np.int64]) -> Pooled:
        return _evaluate_groups(text, function, answers, labels, groups, is_higher_better)

    if _takes_groups(function):
        return Metric(text, "function", is_higher_better, "biufUS", evaluate, _GROUP_CAP, evaluate_groups)
    return Metric(text, "function", is_higher_better, "biufUS", evaluate, f"{_CAP}, or, for one number, {_POOLED_CAP}")


def _takes_groups(function: Callable[..., Any]) -> bool:
    """Whether a function has three parameters that are required, or one named `groups`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function of an extension module may have none
        return False
    required = [each for each in parameters if each.default is each.empty and each.kind in _POSITIONAL]
    return len(required) == 3 or any(each.name == "groups" for each in parameters)


def _import(module: str, name: str, working_dir: Path | None) -> Callable[..., Any]:
    folder = str((working_dir or Path.cwd()).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise StudyInputError(
            f"The metric {module}:{name} cannot be imported: {type(error).__name__}: {error}."
        ) from error
    if not callable(found):
        raise StudyInputError(
            f"{module}:{name} is {shown(found)}, which cannot be called as a metric: name a function."
        )
    return found  # type: ignore[no-any-return]


def _evaluate(
    name: str, function: Callable[..., Any], answers: Any, labels: NDArray[Any], is_higher_better: bool
) -> Scores | Pooled:
    import numpy as np

    sign = 1.0 if is_higher_better else -1.0
    found = _call(name, function, answers, labels)
    n = len(labels)
    if found.ndim == 1:
        values = sign * found.astype(np.float64)
        is_binary = bool(((found == 0) | (found == 1)).all())
        least = _least(found, sign)
        return Scores(values, least, float(found.mean()), is_binary=is_binary)

    def score(counts: NDArray[np.int64]) -> float:
        rows = np.repeat(np.arange(n), counts)
        return sign * float(_call(name, function, take(answers, rows), labels[rows]))

    value = float(found)
    return Pooled(n, value, score, max(1.0, abs(value)))


def _evaluate_groups(
    name: str,
    function: Callable[..., Any],
    answers: Any,
    labels: NDArray[Any],
    groups: NDArray[np.int64],
    is_higher_better: bool,
) -> Pooled:
    import numpy as np

    sign = 1.0 if is_higher_better else -1.0
    value = float(_call_for_number(name, function, answers, labels, groups))
    members = [np.flatnonzero(groups == number) for number in range(int(groups.max()) + 1)]

    def score(counts: NDArray[np.int64]) -> float:
        drawn = [members[number] for number in np.repeat(np.arange(len(counts)), counts)]
        rows = np.concatenate(drawn)
        copies = np.repeat(np.arange(len(drawn)), [len(each) for each in drawn])
        return sign * float(_call_for_number(name, function, take(answers, rows), labels[rows], copies))

    return Pooled(len(members), value, score, max(1.0, abs(value)))


def _call_for_number(name: str, function: Callable[..., Any], *arguments: Any) -> NDArray[Any]:
    found = _call(name, function, *arguments)
    if found.ndim:
        raise StudyInputError(f"The metric {name} of groups returned {found.shape[0]} numbers: it must return one.")
    return found


def _least(found: NDArray[Any], sign: float) -> float:
    """Return the lowest score, higher is better: the end of [0, 1] if all scores lie in it, else of their range."""
    low, high = float(found.min()), float(found.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    # If all scores are equal, their magnitude serves as the range.
    width = (high - low) or max(abs(high), 1.0)
    return high - width if sign > 0 else -low - width


def _call(
    name: str, function: Callable[..., Any], answers: Any, labels: NDArray[Any], *groups: NDArray[np.int64]
) -> NDArray[Any]:
    import numpy as np

    # A function may modify or return its arguments: it gets copies.
    own = copy.deepcopy((answers, labels, *groups))
    try:
        found = np.array(function(*own))
    except (Exception, SystemExit) as error:
        raise StudyInputError(f"The metric {name} failed: {type(error).__name__}: {error}.") from error
    if found.dtype.kind not in "biuf" or found.shape not in ((), (len(labels),)):
        raise StudyInputError(
            f"The metric {name} returned {shown(found.tolist())}: it must return one number, or one for each of the "
            f"{len(labels)} samples."
        )
    if not np.isfinite(found).all():
        raise StudyInputError(
            f"The metric {name} returned NaN or an infinite number for {len(labels)} samples: return finite numbers."
        )
    return found
