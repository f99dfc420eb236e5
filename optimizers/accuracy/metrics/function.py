"""A user-defined metric: `module:function`, called with the answers and the labels."""

from __future__ import annotations

import copy
import importlib
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
_CAP = "a sample's loss is capped at the range of the baseline's scores"
_POOLED_CAP = "a sample is assumed to change the value by at most its share of max(1, |value|)"


def make_function(text: str, working_dir: Path | None) -> Metric:
    """Return the metric `module:function`, or `module:function:lower` if lower is better.

    `function(answers, labels)` returns a score for each sample, `(n,)`, or one number for all. It is also called with
    subsets of the samples. A function that returns one number is also called with resamples, in which samples repeat.

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

    return Metric(text, "function", is_higher_better, "biufUS", evaluate, f"{_CAP}, or, for one number, {_POOLED_CAP}")


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


def _least(found: NDArray[Any], sign: float) -> float:
    """Return the lowest score, higher is better: the end of [0, 1] if all scores lie in it, else of their range."""
    low, high = float(found.min()), float(found.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    # If all scores are equal, their magnitude serves as the range.
    width = (high - low) or max(abs(high), 1.0)
    return high - width if sign > 0 else -low - width


def _call(name: str, function: Callable[..., Any], answers: Any, labels: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    # A function may modify or return its arguments: it gets copies.
    own = copy.deepcopy(answers), copy.deepcopy(labels)
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
