"""The served search: Optuna proposes candidates, a real server measures them, and what was measured is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..candidate import Candidate
from .space import ServedSpace, candidate_parameters

if TYPE_CHECKING:
    import optuna


# Told for what serves nothing or was cut from the space: a result too, from which the sampler learns.
_NOTHING = math.log(1e-3)


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What one served measurement gave. `violation` is at most 0 where every constraint is met."""

    rps: float
    p99_ms: float
    failed: int
    violation: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """A candidate with the geometric mean of its feasible measurements."""

    candidate: Candidate
    rps: float
    measurements: int


class ServedSearch:
    """A resumable study: whatever was told before is known again after a restart."""

    def __init__(self, journal: Path, space: ServedSpace, seed: int) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._study = optuna.create_study(
            study_name="served",
            storage=JournalStorage(JournalFileBackend(str(journal))),
            sampler=optuna.samplers.TPESampler(n_startup_trials=4, seed=seed),
            direction="maximize",
            load_if_exists=True,
        )
        self._take_up_interrupted()

    def enqueue(self, candidates: Sequence[Candidate]) -> None:
        """Measure these first; those that are known already are left out."""
        for candidate in candidates:
            self._study.enqueue_trial(candidate_parameters(candidate), skip_if_exists=True)

    @property
    def finished(self) -> int:
        """How many trials have an outcome."""
        return sum(1 for trial in self._study.trials if trial.state.is_finished() and "rps" in trial.user_attrs)

    def run(
        self,
        trials: int,
        measure: Callable[[Candidate], TrialOutcome],
        on_trial: Callable[[Candidate, TrialOutcome], None] = lambda candidate, outcome: None,
    ) -> None:
        """Measure until `trials` have an outcome. A trial that is interrupted is measured again at the next start."""
        cut = 0
        while self.finished < trials and cut < 50 * trials:
            trial = self._study.ask(self._distributions())
            candidate = self._space.candidate(trial.params)
            if candidate is None:
                cut += 1
                trial.set_constraint("limits", 1.0)
                self._study.tell(trial, _NOTHING)
                continue
            outcome = measure(candidate)
            self._tell(trial, outcome)
            on_trial(candidate, outcome)

    def ranking(self) -> list[RankedCandidate]:
        """The feasible candidates, the fastest first; repeats of one candidate are pooled."""
        logs: dict[Candidate, list[float]] = {}
        for trial in self._study.trials:
            rps = trial.user_attrs.get("rps", 0.0)
            candidate = self._space.candidate(trial.params) if trial.state.is_finished() and trial.params else None
            if candidate is not None and rps > 0 and trial.user_attrs["violation"] <= 0:
                logs.setdefault(candidate, []).append(math.log(rps))
        ranked = [RankedCandidate(c, math.exp(sum(v) / len(v)), len(v)) for c, v in logs.items()]
        return sorted(ranked, key=lambda entry: entry.rps, reverse=True)

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution

        return {name: CategoricalDistribution(values) for name, values in self._space.choices().items()}

    def _tell(self, trial: optuna.Trial, outcome: TrialOutcome) -> None:
        trial.set_user_attr("rps", outcome.rps)
        trial.set_user_attr("p99_ms", outcome.p99_ms)
        trial.set_user_attr("failed", outcome.failed)
        trial.set_user_attr("violation", outcome.violation)
        trial.set_constraint("limits", outcome.violation)
        self._study.tell(trial, math.log(outcome.rps) if outcome.rps > 0 else _NOTHING)

    def _take_up_interrupted(self) -> None:
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.enqueue_trial(trial.params)
