"""Stage 4: the served search. Every candidate is activated in a live server and measured under the study's load.

The fastest candidate under load may be slow for a lone client. A lone client's latency is therefore measured too,
relative to the baseline's, and limited.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.loadgen import summarize
from bento_monitor.lab.loadgen.slo import Slo
from bento_monitor.machine import safe_bytes
from bento_monitor.serving_config import Batching, Execution

from ..candidate import Candidate
from ..errors import NoWinnerError, StudyInputError, first_line
from ..measurement.load import StudyLoad, block_rate_rps, latency_percentile_ms, measure
from ..measurement.server import TrialServer, serve_trials
from ..releasing import make_release
from ..search.served import RankedCandidate, ServedSearch
from ..search.space import ServedSpace, seeds
from ..search.ties import IsMoreAccurate
from ..search.trial_log import TrialOutcome
from ..search_space.batching import WINDOWS_MS, batch_sizes
from .finals import rank_finals, run_finals
from .harm import MAX_ALONE_RATIO
from .lone_client import LoneClient
from .servers import baseline_server, candidate_server
from .winner import dependence_record
from .workbench import Workbench

_WARMUP_S = 1.0
_MEASURE_S = 3.0
_SEEDED_EXECUTIONS = 2
_FINALISTS = 4
_FINAL_RATIO = 0.8  # of the fastest trial's rate: a lower rate is not just bad luck
_TRIAL_SLACK = 1.15  # a trial measures a lone client only once and briefly; the finals measure it six times
OnTrial = Callable[[Candidate, TrialOutcome], None]


class ServedStage:
    """The servers of a study on which candidates are measured, one per worker count, and the baseline's server."""

    def __init__(self, bench: Workbench, load: StudyLoad) -> None:
        self._bench = bench
        self._spec = bench.spec
        self._load = load
        self._folder = bench.folder.path
        self._stack = ExitStack()
        self._servers: dict[int, tuple[TrialServer, ExitStack]] = {}
        self._started = 0
        self._lone_client: LoneClient | None = None
        self._memory_limit_bytes = safe_bytes()
        self._most_alone_ratio = None if bench.spec.allow_slower_alone else MAX_ALONE_RATIO

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def search(self, executions: Sequence[Execution], on_trial: OnTrial) -> list[RankedCandidate]:
        """Run or resume the search; return the feasible candidates, the fastest first.

        Raises:
            NoWinnerError: no candidate met the limits.
        """
        api = self._bench.subject.subject.api
        chosen = self._spec.space
        sizes = list(chosen.max_batch_size) or batch_sizes(self._spec.connections, api.max_batch_size)
        if not api.is_batchable:
            sizes = [1]
        windows = (chosen.window_ms or self._windows_ms()) if max(sizes) > 1 else (0.0,)
        space = ServedSpace(tuple(executions), tuple(sizes), windows, self._bench.subject.workers)
        most_alone = None if self._most_alone_ratio is None else self._most_alone_ratio * _TRIAL_SLACK
        search = ServedSearch(self._folder / "trials.json", space, self._spec.seed, most_alone)
        search.enqueue(seeds(space, executions[:_SEEDED_EXECUTIONS], Batching(api.max_batch_size, 0.0)))
        search.run(self._spec.trials, self._try, on_trial)
        ranking = search.ranking()
        if not ranking:
            raise NoWinnerError(why_no_candidate(search.outcomes, self._spec.slo, most_alone, "trial"))
        return ranking

    def finals(
        self, finalists: Sequence[Candidate], is_more_accurate: IsMoreAccurate, on_step: Callable[[], None]
    ) -> list[Candidate]:
        """Remeasure the finalists in interleaved rounds; return them in the order in which they are to be proved.

        Raises:
            NoWinnerError: no finalist met the limits.
        """
        outcomes = run_finals(finalists, self._try, self._most_alone_ratio, seed=self._spec.seed, on_step=on_step)
        ranked = rank_finals(outcomes, self._most_alone_ratio, is_more_accurate, self._batch_dependence)
        if not ranked:
            every = [(candidate, outcome) for candidate, found in outcomes.items() for outcome in found]
            raise NoWinnerError(why_no_candidate(every, self._spec.slo, self._most_alone_ratio, "round of the finals"))
        return ranked

    def _windows_ms(self) -> tuple[float, ...]:
        """Return the windows worth a trial: a lone client waits for a whole window, so it must be within its limit."""
        if self._most_alone_ratio is None:
            return WINDOWS_MS
        most_ms = self._most_alone_ratio * self._lone().baseline_p50_ms
        return tuple(window for window in WINDOWS_MS if window < most_ms)

    def _batch_dependence(self, candidate: Candidate) -> float:
        return float(dependence_record(self._bench, candidate)["batch_dependence_amount"])

    def _try(self, candidate: Candidate) -> TrialOutcome:
        try:
            with self._server(candidate.workers).within_memory(self._memory_limit_bytes):
                return self._measured(candidate)
        except StudyInputError:
            raise
        except BentoMonitorError as error:
            self._stop(candidate.workers)  # the candidate may have damaged the server: the next one gets a fresh server
            return TrialOutcome(rps=0.0, p99_ms=0.0, failed=1, violation=1.0, error=first_line(error))

    def _measured(self, candidate: Candidate) -> TrialOutcome:
        server = self._server(candidate.workers)
        artifact = self._bench.artifact(candidate.execution)
        release = make_release(f"trial:{candidate.name}", self._bench.subject.subject, candidate, artifact)
        server.activate(release, artifact.path)
        check = self._bench.check_of(candidate.execution)
        result = measure(self._load, server.port, check, min(_MEASURE_S, self._spec.block_s), _WARMUP_S)
        alone_ratio = self._lone().ratio(server.port, check)
        server.require_no_failed_calls(release.name)
        summary, slo = summarize(result), self._spec.slo
        over = latency_percentile_ms(result, slo.percentile) / slo.limit_ms - 1.0 if slo is not None else -1.0
        violation = max(over, 1.0 if summary.failed else -1.0)
        return TrialOutcome(block_rate_rps(result), summary.p99_ms, summary.failed, violation, alone_ratio=alone_ratio)

    def _lone(self) -> LoneClient:
        if self._lone_client is None:
            choices = {"baseline": baseline_server(self._bench)}
            server = self._stack.enter_context(serve_trials(choices, self._folder))["baseline"]
            self._lone_client = LoneClient(self._load, server, self._bench.check_of(None))
        return self._lone_client

    def _server(self, workers: int) -> TrialServer:
        if workers not in self._servers:
            self._started += 1
            name = f"server-{workers}-{self._started}"
            stack = self._stack.enter_context(ExitStack())
            choices = {name: candidate_server(self._bench, workers)}
            self._servers[workers] = stack.enter_context(serve_trials(choices, self._folder))[name], stack
        return self._servers[workers][0]

    def _stop(self, workers: int) -> None:
        if workers in self._servers:
            _, stack = self._servers.pop(workers)
            stack.close()


def finalists_of(ranking: Sequence[RankedCandidate]) -> list[Candidate]:
    """Return the few candidates that may be the fastest."""
    least_rps = _FINAL_RATIO * ranking[0].rps
    return [entry.candidate for entry in ranking[:_FINALISTS] if entry.rps >= least_rps]


def why_no_candidate(
    outcomes: Sequence[tuple[Candidate, TrialOutcome]], slo: Slo | None, max_alone_ratio: float | None, what: str
) -> str:
    """Return why no candidate can be released, with the number of candidates for each reason."""
    errors = Counter(outcome.error for _, outcome in outcomes if outcome.error is not None)
    refused = [outcome for _, outcome in outcomes if outcome.error is None and outcome.failed]
    served = [outcome for _, outcome in outcomes if outcome.error is None and not outcome.failed]
    late = [outcome for outcome in served if outcome.violation > 0]
    ratios = [outcome.alone_ratio for outcome in served if outcome.violation <= 0 and outcome.alone_ratio is not None]
    reasons = [f"{count} failed: {error.rstrip('.')}" for error, count in errors.most_common()]
    if refused:
        count = sum(outcome.failed for outcome in refused)
        reasons.append(f"in {len(refused)}, requests failed ({count} in total)")
    if late and slo is not None:
        best_ms = min((1 + outcome.violation) * slo.limit_ms for outcome in late)
        reasons.append(
            f"{len(late)} broke --slo {slo}, the best with {best_ms:.1f} ms: allow more latency, or reduce "
            "--connections"
        )
    if ratios and max_alone_ratio is not None:
        reasons.append(
            f"{len(ratios)} met the other limits, but a lone client's median latency is over "
            f"{MAX_ALONE_RATIO:.2f} times the baseline's (the best: {min(ratios):.2f} times): --allow-slower-alone "
            "allows this"
        )
    return f"No served candidate can be released, after {len(outcomes)} {what}(s): {'; '.join(reasons)}."
