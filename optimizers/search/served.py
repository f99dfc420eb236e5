"""The served search: Optuna proposes candidates, a real server measures them, and what was measured is kept."""

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


# Told for what serves nothing or was cut from the space: a result too, from which the sampler learns.
_NOTHING = math.log(1e-3)


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """A candidate with the geometric mean of its feasible measurements."""

    candidate: Candidate
    rps: float
    measurements: int


class ServedSearch:
    """A resumable search: Optuna's study is in memory, and told at each start what the log on disk knows.

    Trials of a space that has changed since are left in the log, and count for nothing. What makes a lone client wait
    over `most_alone_ratio` times as long as the baseline does is not feasible; None allows it.
    """

    def __init__(self, log: Path, space: ServedSpace, seed: int, most_alone_ratio: float | None = None) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._most_alone_ratio = most_alone_ratio
        self._log = TrialLog(log)
        # Another seed after each restart, or the sampler would draw its first points again.
        sampler = optuna.samplers.TPESampler(n_startup_trials=4, seed=seed + self.finished)
        self._study = optuna.create_study(sampler=sampler, direction="maximize")
        for parameters, outcome in self._known():
            self._study.enqueue_trial(dict(parameters))
            self._tell(self._study.ask(self._distributions()), outcome)
        interrupted = self._log.interrupted
        if interrupted is not None and self._space.candidate(interrupted) is not None:
            self._study.enqueue_trial(dict(interrupted))

    def enqueue(self, candidates: Sequence[Candidate]) -> None:
        """Measure these first; those that are known already are left out."""
        for candidate in candidates:
            self._study.enqueue_trial(candidate_parameters(candidate), skip_if_exists=True)

    @property
    def finished(self) -> int:
        """How many trials of this space have an outcome."""
        return len(self._known())

    @property
    def outcomes(self) -> list[tuple[Candidate, TrialOutcome]]:
        """What each trial of this space gave, in the order of measuring."""
        found = [(self._space.candidate(parameters), outcome) for parameters, outcome in self._log.measured]
        return [(candidate, outcome) for candidate, outcome in found if candidate is not None]

    def run(
        self,
        trials: int,
        measure: Callable[[Candidate], TrialOutcome],
        on_trial: Callable[[Candidate, TrialOutcome], None] = lambda candidate, outcome: None,
    ) -> None:
        """Measure until `trials` have an outcome, or all of the space has.

        A trial that is interrupted is measured again at the next start.
        """
        cut = 0
        while self.finished < trials and cut < 50 * trials and len(self._measured()) < self._space.size:
            trial = self._study.ask(self._distributions())
            candidate = self._space.candidate(trial.params)
            if candidate is None:
                cut += 1
                trial.set_constraint("limits", 1.0)
                self._study.tell(trial, _NOTHING)
                continue
            self._log.begin(trial.params)
            outcome = measure(candidate)
            self._log.end(outcome)
            self._tell(trial, outcome)
            on_trial(candidate, outcome)

    def ranking(self) -> list[RankedCandidate]:
        """The feasible candidates, the fastest first; repeats of one candidate are pooled."""
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
        return [found for found in self._log.measured if self._space.candidate(found[0]) is not None]

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution

        return {name: CategoricalDistribution(values) for name, values in self._space.choices().items()}

    def _tell(self, trial: optuna.Trial, outcome: TrialOutcome) -> None:
        trial.set_constraint("limits", self._violation(outcome))
        self._study.tell(trial, math.log(outcome.rps) if outcome.rps > 0 else _NOTHING)
