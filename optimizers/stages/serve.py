"""Stage 4: the served search. Every candidate is handed to a live server and measured under the study's load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Self

import numpy as np

from bento_monitor.errors import BentoMonitorError
from bento_monitor.loadgen import summarize
from bento_monitor.loadgen.slo import Slo
from bento_monitor.releases.record import Batching, Execution

from ..candidate import Candidate
from ..errors import NoWinnerError, StudyInputError, first_line
from ..measurement.load import StudyLoad, block_rate_rps, latency_percentile_ms, measure
from ..measurement.server import ServerChoice, TrialServer, serve_trials
from ..releasing import make_release
from ..search.served import RankedCandidate, ServedSearch
from ..search.space import ServedSpace, seeds
from ..search.ties import LEAST_ROUNDS, Finalist, IsMoreAccurate, rank_finalists
from ..search.trial_log import TrialOutcome
from ..search_space.batching import WINDOWS_MS, batch_sizes
from .winner import dependence_record
from .workbench import Workbench

_WARMUP_S = 1.0
_MEASURE_S = 3.0
_SEEDED_EXECUTIONS = 2
_FINALISTS = 4
_FINAL_RATIO = 0.8  # of the fastest trial: what is slower was not unlucky
OnTrial = Callable[[Candidate, TrialOutcome], None]


class ServedStage:
    """Servers of the study's own, one a worker count, on which candidates are measured."""

    def __init__(self, bench: Workbench, load: StudyLoad) -> None:
        self._bench = bench
        self._spec = bench.spec
        self._load = load
        self._folder = bench.folder.path
        self._stack = ExitStack()
        self._servers: dict[int, TrialServer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def search(self, executions: Sequence[Execution], on_trial: OnTrial) -> list[RankedCandidate]:
        """Search, or go on; the feasible candidates, the fastest first.

        Raises:
            NoWinnerError: no candidate met the limits.
        """
        api = self._bench.subject.subject.api
        sizes = batch_sizes(self._spec.connections, api.max_batch_size) if api.is_batchable else [1]
        windows = WINDOWS_MS if api.is_batchable else (0.0,)
        space = ServedSpace(tuple(executions), tuple(sizes), windows, self._bench.subject.workers)
        search = ServedSearch(self._folder / "trials.json", space, self._spec.seed)
        search.enqueue(seeds(space, executions[:_SEEDED_EXECUTIONS], Batching(api.max_batch_size, 0.0)))
        search.run(self._spec.trials, self._try, on_trial)
        ranking = search.ranking()
        if not ranking:
            raise NoWinnerError(why_none(search.outcomes, self._spec.slo, "trial"))
        return ranking

    def finals(self, ranking: Sequence[RankedCandidate], is_more_accurate: IsMoreAccurate) -> list[Candidate]:
        """The best few, measured anew in interleaved rounds: the luckiest trial does not win by luck.

        Those whose speed cannot be told apart are ordered by `rank_finalists`. One that fails, or breaks the SLO in the
        median of its rounds, is not chosen.

        Raises:
            NoWinnerError: none is left.
        """
        least_rps = _FINAL_RATIO * ranking[0].rps
        finalists = [entry.candidate for entry in ranking[:_FINALISTS] if entry.rps >= least_rps]
        if len(finalists) == 1 and self._spec.slo is None:
            return finalists
        outcomes: dict[Candidate, list[TrialOutcome]] = {candidate: [] for candidate in finalists}
        generator = np.random.default_rng(self._spec.seed)
        for _ in range(LEAST_ROUNDS):
            for index in generator.permutation(len(finalists)):
                outcomes[finalists[index]].append(self._try(finalists[index]))
        chosen = [
            Finalist(candidate, tuple(outcome.rps for outcome in found))
            for candidate, found in outcomes.items()
            if all(outcome.rps > 0 and not outcome.failed for outcome in found)
            and median(outcome.violation for outcome in found) <= 0
        ]
        if not chosen:
            every = [(candidate, outcome) for candidate, found in outcomes.items() for outcome in found]
            raise NoWinnerError(why_none(every, self._spec.slo, "round of the finals"))
        return rank_finalists(chosen, is_more_accurate, self._batch_dependence)

    def _batch_dependence(self, candidate: Candidate) -> float:
        return float(dependence_record(self._bench, candidate)["batch_dependence_amount"])

    def _try(self, candidate: Candidate) -> TrialOutcome:
        try:
            server = self._server(candidate.workers)
            artifact = self._bench.artifact(candidate.execution)
            release = make_release(f"trial:{candidate.name}", self._bench.subject.subject, candidate, artifact)
            server.take(release, artifact.path)
            check = self._bench.check_of(candidate.execution)
            result = measure(self._load, server.port, check, _MEASURE_S, _WARMUP_S)
            summary = summarize(result)
            server.require_no_failed_calls(release.name)
        except StudyInputError:
            raise
        except BentoMonitorError as error:
            return TrialOutcome(rps=0.0, p99_ms=0.0, failed=1, violation=1.0, error=first_line(error))
        slo = self._spec.slo
        over = latency_percentile_ms(result, slo.percentile) / slo.limit_ms - 1.0 if slo is not None else -1.0
        return TrialOutcome(
            block_rate_rps(result), summary.p99_ms, summary.failed, max(over, 1.0 if summary.failed else -1.0)
        )

    def _server(self, workers: int) -> TrialServer:
        if workers not in self._servers:
            choice = ServerChoice(
                target=self._spec.target,
                working_dir=self._spec.working_dir,
                service=self._bench.subject.subject.service,
                kind="monitored",
                workers=workers,
            )
            name = f"server-{workers}"
            self._servers[workers] = self._stack.enter_context(serve_trials({name: choice}, self._folder))[name]
        return self._servers[workers]


def why_none(outcomes: Sequence[tuple[Candidate, TrialOutcome]], slo: Slo | None, what: str) -> str:
    """What happened to the candidates, in one sentence for each kind of end."""
    errors = Counter(outcome.error for _, outcome in outcomes if outcome.error is not None)
    refused = [outcome for _, outcome in outcomes if outcome.error is None and outcome.failed]
    late = [outcome for _, outcome in outcomes if outcome.error is None and not outcome.failed]
    reasons = [f"{count} failed: {error.rstrip('.')}" for error, count in errors.most_common()]
    if refused:
        count = sum(outcome.failed for outcome in refused)
        reasons.append(f"in {len(refused)}, requests failed ({count} in all)")
    if late and slo is not None:
        best_ms = min((1 + outcome.violation) * slo.limit_ms for outcome in late)
        reasons.append(
            f"{len(late)} broke --slo {slo}, the best with {best_ms:.1f} ms: allow more latency, or give fewer "
            "--connections"
        )
    return f"Nothing that was served can be released, after {len(outcomes)} {what}(s): {'; '.join(reasons)}."
