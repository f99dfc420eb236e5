"""Stage 4: the served search. Every candidate is handed to a live server and measured under the study's load."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Self

import numpy as np

from bento_monitor.errors import BentoMonitorError, MeasurementError
from bento_monitor.loadgen import summarize
from bento_monitor.releases.record import Batching, Execution

from ..candidate import Candidate
from ..errors import StudyInputError
from ..measurement.load import StudyLoad, block_rate_rps, latency_percentile_ms, measure
from ..measurement.server import ServerChoice, TrialServer, serve_trials
from ..releasing import make_release
from ..search.served import RankedCandidate, ServedSearch, TrialOutcome
from ..search.space import ServedSpace, seeds
from ..search_space.batching import WINDOWS_MS, batch_sizes
from .workbench import Kind, Workbench

_WARMUP_S = 1.0
_MEASURE_S = 3.0
_SEEDED_EXECUTIONS = 2
_FINALISTS = 3
_FINAL_ROUNDS = 2
_INDIFFERENCE = 0.03  # of the logarithm of requests per second
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
            MeasurementError: no candidate met the limits.
        """
        api = self._bench.subject.subject.api
        sizes = batch_sizes(self._spec.connections, 256) if api.is_batchable else [2]
        windows = WINDOWS_MS if api.is_batchable else (0.0,)
        space = ServedSpace(tuple(executions), tuple(sizes), windows, self._bench.subject.workers)
        search = ServedSearch(self._folder / "trials.log", space, self._spec.seed)
        search.enqueue(seeds(space, executions[:_SEEDED_EXECUTIONS], Batching(api.max_batch_size, 0.0)))
        search.run(self._spec.trials, self._try, on_trial)
        ranking = search.ranking()
        if not ranking:
            raise MeasurementError("No candidate met the limits under load: allow more latency, or fewer connections.")
        return ranking

    def finals(self, ranking: Sequence[RankedCandidate], drops: Mapping[Kind, float]) -> list[Candidate]:
        """The best few, measured anew in interleaved rounds: the luckiest trial does not win by luck.

        Those within `_INDIFFERENCE` of the fastest cannot be told apart here; of them, the one whose precision loses
        the least accuracy (`drops`) comes first.
        """
        finalists = [entry.candidate for entry in ranking[:_FINALISTS]]
        if len(finalists) == 1:
            return finalists
        logs: dict[Candidate, list[float]] = {candidate: [] for candidate in finalists}
        generator = np.random.default_rng(self._spec.seed)
        for _ in range(_FINAL_ROUNDS):
            for index in generator.permutation(len(finalists)):
                logs[finalists[index]].append(math.log(max(self._try(finalists[index]).rps, 1e-3)))
        means = {candidate: sum(values) / len(values) for candidate, values in logs.items()}
        best = max(means.values())

        def order(candidate: Candidate) -> tuple[bool, float]:
            if means[candidate] < best - _INDIFFERENCE:
                return True, -means[candidate]
            return False, drops[candidate.execution.backend, candidate.execution.precision]

        return sorted(finalists, key=order)

    def _try(self, candidate: Candidate) -> TrialOutcome:
        try:
            server = self._server(candidate.workers)
            artifact = self._bench.artifact(candidate.execution)
            release = make_release(f"trial:{candidate.name}", self._bench.subject.subject, candidate, artifact)
            server.take(release, artifact.path)
            reference = self._bench.answers_in(candidate.execution)
            result = measure(self._load, server.port, reference, _MEASURE_S, _WARMUP_S)
            summary = summarize(result)
            server.require_no_failed_calls(release.name)
        except StudyInputError:
            raise
        except BentoMonitorError as error:
            return TrialOutcome(rps=0.0, p99_ms=0.0, failed=1, violation=1.0, error=str(error))
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
