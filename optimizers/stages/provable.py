"""Which finalists may be proved: few, since each has its share of the wrong bounds, and not all of one kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bento_monitor.serving_config import Execution

from ..candidate import Candidate
from ..search_space.executions import is_exact
from .workbench import Kind
from .yardstick import MOST_PROVED


def reserve_of(ranked: Sequence[Mapping[str, Any]]) -> Execution | None:
    """Of a race's executions, the fastest that keeps the weights as they are: slower, but rarely less accurate."""
    executions = (Execution(**entry["execution"]) for entry in ranked)
    return next((execution for execution in executions if is_exact(execution.precision)), None)


def provable(finalists: Sequence[Candidate], reserve: Execution | None) -> list[Candidate]:
    """What may be proved, in order, fixed before any of it is: the best, and what is least like it.

    A best that is quantised is followed by the best that is not, made of `reserve` where no finalist is: what goes
    wrong with one seldom goes wrong with the other. Else the best of another kind follows, or else the next.
    """
    best = finalists[0]
    others = list(finalists[1:])
    if not is_exact(best.execution.precision):
        others.sort(key=lambda candidate: not is_exact(candidate.execution.precision))
        if reserve is not None and not any(is_exact(candidate.execution.precision) for candidate in others):
            others.insert(0, Candidate(reserve, best.batching, best.workers))
    others.sort(key=lambda candidate: _kind(candidate) == _kind(best))
    return [best, *others][:MOST_PROVED]


def _kind(candidate: Candidate) -> Kind:
    return candidate.execution.backend, candidate.execution.precision
