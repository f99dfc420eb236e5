"""Decisions from a model's probabilities and contributions, and how one is reproduced."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from application import Application, Decision, Reason
from encoding import FACTS
from model import (
    contributions_of_trees,
    load_encoding,
    load_network,
    load_trees,
    log_odds_and_contributions,
    probability,
)

MAX_PROBABILITY = 0.1
REASONS = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """What decides: the model, its release, and the trace of each loan's request; BentoML itself knows only the first.

    `traces` has an id for each loan; it is of another length if they are unknown.
    """

    model: str
    release: str | None = None
    traces: Sequence[str | None] = ()


def decisions_of(origin: Origin, probabilities: NDArray[Any], contributions: NDArray[np.float64]) -> list[Decision]:
    """Return the decision on each of n loans, whose facts contribute `(n, facts)` to the log-odds of a default."""
    facts = list(FACTS)
    traces = origin.traces
    known = traces if len(traces) == len(probabilities) else [None] * len(probabilities)
    strongest = np.argsort(-np.abs(contributions), axis=1)[:, :REASONS]
    return [
        Decision(
            id=uuid.uuid4().hex,
            model=origin.model,
            probability=float(probabilities[row]),
            is_approved=bool(probabilities[row] <= MAX_PROBABILITY),
            reasons=[Reason(fact=facts[fact], effect=float(contributions[row, fact])) for fact in strongest[row]],
            release=origin.release,
            trace_id=known[row],
        )
        for row in range(len(probabilities))
    ]


def reproduce(decision: Decision, application: Application) -> Decision:
    """Decide again on one application, by the model and the release that decided."""
    features = load_encoding().encode([application])
    origin = Origin(decision.model, decision.release)
    if decision.model == "trees":
        booster = load_trees()
        trees = _released(booster, decision)
        contributions = contributions_of_trees(booster, features)
        return decisions_of(origin, trees.predict(features), contributions)[0]
    own = load_network()
    log_odds, contributions = log_odds_and_contributions(_released(own, decision), own.typical.numpy(), features)
    return decisions_of(origin, probability(log_odds), contributions)[0]


def _released(model: Any, decision: Decision) -> Any:
    """Return a model as the release of a decision runs it; the model itself if no release decided."""
    if decision.release in (None, "own"):
        return model
    from bento_monitor import MonitoredRunner
    from bento_monitor.releases.release_store import find_release

    runner = MonitoredRunner(model, name=decision.model)
    runner.activate(runner.prepare(*find_release(decision.release)))
    return runner
