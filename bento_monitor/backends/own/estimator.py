"""The user's estimator: of scikit-learn, XGBoost or LightGBM, or any object with the same methods."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..arguments import positional_names
from ._base import ModelKind

ESTIMATOR_METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
    "inplace_predict",
)
_BASES = {
    "sklearn.base": ("BaseEstimator",),
    "xgboost": ("XGBModel", "Booster"),
    "lightgbm": ("LGBMModel", "Booster"),
}
_BY_METHODS = ("fit", "predict", "get_params")


class OwnEstimator:
    """The user's estimator, whose methods are called directly."""

    kind: ModelKind = "estimator"
    precision = "as fitted"
    parameter = None

    def __init__(self, model: Any, methods: Sequence[str] | None = None) -> None:
        self.model = model
        self.methods = tuple(ESTIMATOR_METHODS if methods is None else methods)
        library = type(model).__module__.partition(".")[0]
        self.backend = library if library in _BASES else "sklearn"
        first = next((name for name in self.methods if hasattr(model, name)), None)
        self.names = positional_names(getattr(model, first))[:1] if first is not None else ()

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Call one of the estimator's methods."""
        if method is None:
            has = [name for name in self.methods if hasattr(self.model, name)]
            raise TypeError(f"A {type(self.model).__name__} cannot be called itself: call one of its methods {has}.")
        return getattr(self.model, method)(*args, **kwargs)


def is_estimator(model: object) -> bool:
    """Whether `model` is an estimator: of an already imported library, or an object with the common methods."""
    for name, bases in _BASES.items():
        module = sys.modules.get(name)
        kinds = tuple(kind for base in bases if isinstance(kind := getattr(module, base, None), type))
        if isinstance(model, kinds):
            return True
    return not isinstance(model, type) and all(callable(getattr(model, name, None)) for name in _BY_METHODS)
