"""The served search: Optuna proposes candidates, a real server measures them, and a log keeps the outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..candidate import Candidate
from .space import ServedSpace, candidate_parameters
from .trial_log import Parameters, TrialLog, TrialOutcome

if TYPE_CHECKING:
    import optuna


# Reported to Optuna for candidates that serve no requests or lie outside the space, so that the sampler avoids them.
_FAILED_LOG_RPS = math.log(1e-3)


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """A candidate, the geometric mean of the rates of its feasible measurements, and their number."""

    candidate: Candidate
    rps: float
    measurements: int


class ServedSearch:
    """A resumable search: Optuna's study is in memory, and is filled at each start from the log on disk.

    Trials outside the current space stay in the log, but are ignored. A candidate is not feasible if a lone client's
    median latency is over `max_alone_ratio` times the baseline's; None removes this limit.
    """

    def __init__(self, log: Path, space: ServedSpace, seed: int, max_alone_ratio: float | None = None) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._most_alone_ratio = max_alone_ratio
        self._log = TrialLog(log)
        # Each restart needs another seed; with the same seed, the sampler would draw its first points again.
        sampler = optuna.samplers.TPESampler(n_startup_trials=4, seed=seed + self.finished)
        self._study = optuna.create_study(sampler=sampler, direction="maximize")
        for parameters, outcome in self._known():
            self._study.enqueue_trial(dict(parameters))
            self._tell(self._study.ask(self._distributions()), outcome)
        interrupted = self._log.interrupted
        if interrupted is not None and self._space.candidate(interrupted) is not None:
            self._study.enqueue_trial(dict(interrupted))

    def enqueue(self, candidates: Sequence[Candidate]) -> None:
        """Measure these candidates first; candidates that were measured already are skipped."""
        for candidate in candidates:
            self._study.enqueue_trial(candidate_parameters(candidate), skip_if_exists=True)

    @property
    def finished(self) -> int:
        """The number of trials of this space that have an outcome."""
        return len(self._known())

    @property
    def outcomes(self) -> list[tuple[Candidate, TrialOutcome]]:
        """The outcome of each trial of this space, in the order of measurement."""
        logged = [(self._space.candidate(parameters), outcome) for parameters, outcome in self._log.measured]
        return [(candidate, outcome) for candidate, outcome in logged if candidate is not None]

    def run(
        self,
        trials: int,
        measure: Callable[[Candidate], TrialOutcome],
        on_trial: Callable[[Candidate, TrialOutcome], None] = lambda candidate, outcome: None,
    ) -> None:
        """Measure until `trials` trials have an outcome, or every candidate of the space has one.

        An interrupted trial is measured again at the next start.
        """
        rejected = 0
        while self.finished < trials and rejected < 50 * trials and len(self._measured()) < self._space.size:
            trial = self._study.ask(self._distributions())
            candidate = self._space.candidate(trial.params)
            if candidate is None:
                rejected += 1
                trial.set_constraint("limits", 1.0)
                self._study.tell(trial, _FAILED_LOG_RPS)
                continue
            self._log.begin(trial.params)
            outcome = measure(candidate)
            self._log.end(outcome)
            self._tell(trial, outcome)
            on_trial(candidate, outcome)

    def ranking(self) -> list[RankedCandidate]:
        """Return the feasible candidates, the fastest first; repeated measurements of a candidate are pooled."""
        logs: dict[Candidate, list[float]] = {}
        for candidate, outcome in self.outcomes:
            if outcome.rps > 0 and self._violation(outcome) <= 0:
                logs.setdefault(candidate, []).append(math.log(outcome.rps))
        ranked = [RankedCandidate(c, math.exp(sum(v) / len(v)), len(v)) for c, v in logs.items()]
        return sorted(ranked, key=lambda entry: entry.rps, reverse=True)

    def _measured(self) -> set[Candidate]:
        return {candidate for candidate, _ in self.outcomes}

    def _violation(self, outcome: TrialOutcome) -> float:
        if outcome.alone_ratio is None or self._most_alone_ratio is None:
            return outcome.violation
        return max(outcome.violation, outcome.alone_ratio / self._most_alone_ratio - 1)

    def _known(self) -> list[tuple[Parameters, TrialOutcome]]:
        return [trial for trial in self._log.measured if self._space.candidate(trial[0]) is not None]

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution

        return {name: CategoricalDistribution(values) for name, values in self._space.choices().items()}

    def _tell(self, trial: optuna.Trial, outcome: TrialOutcome) -> None:
        trial.set_constraint("limits", self._violation(outcome))
        self._study.tell(trial, math.log(outcome.rps) if outcome.rps > 0 else _FAILED_LOG_RPS)
