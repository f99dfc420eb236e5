"""The objects that an estimator consisted of at some time, to notice a new fit without hashing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from operator import is_
from typing import Any

_Seen = tuple[dict[str, Any], tuple[str, ...], tuple[Any, ...]]


class EstimatorState:
    """The parameters and fitted attributes of an estimator and of its nested estimators, by identity.

    This detects a new fit, set parameters and replaced attributes, but no write into an array in place.
    """

    def __init__(self, root: Any) -> None:
        self._seen: list[_Seen] = []
        self._rounds: list[tuple[Any, Any]] = []
        for part in nested_estimators(root):
            own = part.__dict__
            self._seen.append((own, tuple(own), tuple(own.values())))
            if (rounds := _rounds(part)) is not None:
                self._rounds.append((part, rounds))

    def is_same(self) -> bool:
        """Whether every attribute is still the same object, and no booster was trained further."""
        return all(map(_is_same, self._seen)) and all(_rounds(part) == rounds for part, rounds in self._rounds)


def _is_same(seen: _Seen) -> bool:
    own, names, values = seen
    return len(own) == len(names) and tuple(own) == names and all(map(is_, own.values(), values))


def nested_estimators(root: Any) -> Iterator[Any]:
    """Yield every estimator and booster that is reached through attributes and containers."""
    import numpy as np

    pending, entered = [root], set()
    while pending:
        value = pending.pop()
        if id(value) in entered:
            continue
        entered.add(id(value))
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list | tuple):
            pending += value
        elif isinstance(value, np.ndarray):
            pending += value.ravel().tolist() if value.dtype == object else []
        elif isinstance(getattr(value, "__dict__", None), dict) and not isinstance(value, type) and _is_model(value):
            yield value
            pending += value.__dict__.values()


def _is_model(value: Any) -> bool:
    return hasattr(value, "get_params") or _rounds(value) is not None


def _rounds(part: Any) -> int | None:
    """Return the number of trees of a booster of XGBoost or LightGBM; None for anything else."""
    for library, count in (("xgboost", "num_boosted_rounds"), ("lightgbm", "num_trees")):
        booster = getattr(sys.modules.get(library), "Booster", None)
        if isinstance(booster, type) and isinstance(part, booster):
            return int(getattr(part, count)())
    return None
