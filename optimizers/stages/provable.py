"""Which finalists may be proved: few, since they share one error probability, and of different precisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bento_monitor.serving_config import Execution

from ..candidate import Candidate
from ..search_space.precisions import is_exact
from ..search_space.recipe import Kind
from .yardstick import MAX_PROVED


def fastest_exact(ranked: Sequence[Mapping[str, Any]]) -> Execution | None:
    """Return the fastest execution of a race with unchanged weights: slower, but rarely less accurate."""
    executions = (Execution(**entry["execution"]) for entry in ranked)
    return next((execution for execution in executions if is_exact(execution.precision)), None)


def provable(finalists: Sequence[Candidate], reserve: Execution | None) -> list[Candidate]:
    """Return the finalists that may be proved, in order: the best one, and the best one of another kind.

    The order is fixed before the first proof. If the best is quantized, the second is the best with unchanged weights,
    built from `reserve` if no finalist has unchanged weights: the two seldom fail for the same reason. Otherwise, the
    second is the best finalist with another backend or precision, or else simply the next one.
    """
    best = finalists[0]
    others = list(finalists[1:])
    if not is_exact(best.execution.precision):
        others.sort(key=lambda candidate: not is_exact(candidate.execution.precision))
        if reserve is not None and not any(is_exact(candidate.execution.precision) for candidate in others):
            others.insert(0, Candidate(reserve, best.batching, best.workers))
    others.sort(key=lambda candidate: _kind(candidate) == _kind(best))
    return [best, *others][:MAX_PROVED]


def _kind(candidate: Candidate) -> Kind:
    return candidate.execution.backend, candidate.execution.precision
