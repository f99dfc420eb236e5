"""The metrics by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from ...errors import StudyInputError
from . import agreement, classes, probabilities, ranking, regression, retrieval, text
from ._base import Metric, Pooled, Scores
from .function import make_function

__all__ = ["METRIC_NAMES", "Metric", "Pooled", "Scores", "parse_metric"]

_PLAIN: dict[str, Callable[[], Metric]] = {
    **classes.METRICS,
    **ranking.METRICS,
    **probabilities.METRICS,
    **regression.METRICS,
    **text.METRICS,
    **agreement.METRICS,
}
_ALIASES = {
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "mape": "mean_absolute_percentage_error",
    "brier": "brier_score",
    "brier_score_loss": "brier_score",
    "mcc": "matthews_corrcoef",
    "kappa": "cohen_kappa",
    "auc": "roc_auc",
    "word_error_rate": "wer",
    "character_error_rate": "cer",
}
_NEGATED = ("log_loss", "brier_score", *(name for name in regression.METRICS if name != "r2"))
METRIC_NAMES = (*(f"{name}@K" for name in retrieval.METRICS), *_PLAIN, "module:function")


def parse_metric(text: str, working_dir: Path | None = None) -> Metric:
    """Return the metric of a name: `accuracy`, `f1_macro`, `mae`, `recall@10`, `judge:score`.

    scikit-learn's scorer names are accepted too: `neg_log_loss` is `log_loss`, and `r2_score` is `r2`. A metric keeps
    its own direction. `recall@K` is for vectors; `recall`, `recall_macro` and similar names are for classes. A user's
    function is imported from `working_dir`, or from the current directory.

    Raises:
        StudyInputError: there is no metric of that name, or its library is missing.
    """
    asked = text.strip()
    if ":" in asked:
        return make_function(asked, working_dir)
    name, at, parameter = asked.partition("@")
    make_at = retrieval.METRICS.get(name)
    if at and make_at is not None and (not parameter or (parameter.isdecimal() and int(parameter) > 0)):
        return make_at(int(parameter or retrieval.DEFAULT_NEIGHBORS))
    make = _PLAIN.get(_canonical(asked))
    if make is None:
        near = difflib.get_close_matches(asked.lower(), [*METRIC_NAMES, *_ALIASES], n=1)
        suggestion = f" Did you mean {near[0]!r}?" if near else ""
        raise StudyInputError(
            f"There is no metric {text!r}.{suggestion} Use one of {', '.join(METRIC_NAMES)} (K is a whole number)."
        )
    return make()


def _canonical(name: str) -> str:
    short = name.removesuffix("_score") if name.removesuffix("_score") in _PLAIN else name
    positive = name.removeprefix("neg_")
    if positive != name and _ALIASES.get(positive, positive) in _NEGATED:
        return _ALIASES.get(positive, positive)
    return _ALIASES.get(short, short)
