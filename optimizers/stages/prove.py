"""Stage 6: the proof. Baseline, baseline again and winner in randomized blocks on fresh servers; paired log-ratios.

Between these blocks, the latency of a lone client and of an open load is measured, which must not get worse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.loadgen import LoadResult, LoadSpec, run_load
from bento_monitor.lab.loadgen.slo import Slo
from bento_monitor.lab.loadgen.validity import check_window
from bento_monitor.lab.statistics import RigError, interleave

from ..candidate import Candidate
from ..measurement.load import StudyLoad, block_rate_rps, latencies_us, latency_percentile_ms, measure_spec
from ..measurement.server import ServerChoice, TrialServer, serve_trials
from ..releasing import make_release
from .block_log import BlockLog
from .blocks import (
    AGAIN,
    BASELINE,
    MAX_BLOCK_FACTOR,
    WINNER,
    Block,
    InTime,
    Proof,
    baseline_rate_rps,
    judge,
    parse_block,
    require_alike,
)
from .harm import (
    HarmBlock,
    HarmFigures,
    alone_seconds,
    judge_harm,
    next_look,
    open_percentile,
    open_seconds,
    read_harm_log,
)
from .harm_fault import harm_fault
from .servers import baseline_server, candidate_server
from .workbench import Workbench

# BentoML's dispatcher trains on its first 11 batches; our dispatcher needs no training, but gets the same requests.
_WARMUP_BATCHES = 12
# After a change of the load, the server's dispatcher needs a moment to adapt.
_SETTLE_S = 0.2


def prove(bench: Workbench, load: StudyLoad, winner: Candidate, on_arm: Callable[[], None]) -> dict[str, Any]:
    """Measure the winner against the baseline on fresh servers, and return the proof as JSON values.

    A round is a closed block of all three arms, then a lone client and an open load on baseline and winner. The number
    of closed blocks is fixed, whatever they show. The lone client and the open load are measured in five blocks up to
    three times as many as wanted, until harm by the winner is shown or excluded. Blocks finished before a kill are
    kept. A block that the machine disturbed is thrown away and replaced by another.

    The baseline has new servers in each round, so that the intervals include how much they differ: two servers of one
    service may differ for as long as they run, since a dispatcher that adapts may settle on other batches in each.

    Raises:
        MeasurementError: an answer was wrong; an arm answered no request; over a tenth of the blocks were thrown away
            (the next call continues with the good ones); or the two baseline arms differ from each other (the next call
            measures everything again).
    """
    wanted = bench.spec.blocks
    log = BlockLog(bench.folder.path / f"blocks-{winner.name}.json", parse_block)
    harm = read_harm_log(bench.folder.path / f"harm-{winner.name}.json")
    if not log.is_enough(wanted, MAX_BLOCK_FACTOR * wanted) or next_look(harm, wanted) is not None:
        try:
            with _Arms(bench, load, winner) as arms:
                _Rounds(bench, load, winner, arms).measure(log, harm, on_arm)
        except RigError:
            log.clear()
            harm.clear()
            raise
    log.require_valid("of the proof")
    try:
        proof = judge(log.good, [block for block in log.blocks if block.fault is not None])
    except MeasurementError:
        log.clear()
        harm.clear()
        raise
    return proof_record(proof, judge_harm(harm, wanted), len(harm.faults))


class _Arms:
    """The servers of a proof, warmed up: the winner's, and those of the baseline since the first `renew_baselines`."""

    def __init__(self, bench: Workbench, load: StudyLoad, winner: Candidate) -> None:
        self.servers: dict[str, TrialServer] = {}
        self._bench = bench
        self._load = load
        self._winner = winner
        self._folder: Path = bench.folder.path / f"servers-{winner.name}"
        self._stack = ExitStack()
        self._baselines = ExitStack()

    def __enter__(self) -> Self:
        bench, winner = self._bench, self._winner
        try:
            self._start({WINNER: candidate_server(bench, winner.workers)}, self._stack)
            artifact = bench.artifact(winner.execution)
            release = make_release(_release_name(winner), bench.subject.subject, winner, artifact)
            self.servers[WINNER].activate(release, artifact.path)
            self._warm_up(WINNER)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._baselines.close()
        self._stack.close()

    def renew_baselines(self, names: Sequence[str]) -> None:
        """Start a server of the baseline for each name, after the end of those that run."""
        self._baselines.close()
        baseline = baseline_server(self._bench)
        self._start(dict.fromkeys(names, baseline), self._baselines)
        for name in names:
            self._warm_up(name)

    def _start(self, choices: Mapping[str, ServerChoice], stack: ExitStack) -> None:
        self.servers |= stack.enter_context(serve_trials(choices, self._folder))

    def _warm_up(self, name: str) -> None:
        port = self.servers[name].port
        run_load(self._load.warm_up(port, _WARMUP_BATCHES))
        run_load(self._load.warm_up_alone(port))


class _Rounds:
    """The loads of a round on the servers of a proof."""

    def __init__(self, bench: Workbench, load: StudyLoad, winner: Candidate, arms: _Arms) -> None:
        self._spec = bench.spec
        self._load = load
        self._release = _release_name(winner)
        self._arms = arms
        baseline = bench.check_of(None)
        self._checks = {BASELINE: baseline, AGAIN: baseline, WINNER: bench.check_of(winner.execution)}

    def measure(self, log: BlockLog[Block], harm: BlockLog[HarmBlock], on_arm: Callable[[], None]) -> None:
        """Measure until both logs have enough blocks for a proof.

        Raises:
            RigError: the two baseline arms differ from each other.
        """
        wanted, seed = self._spec.blocks, self._spec.seed + len(log.earlier)
        orders = interleave([BASELINE, AGAIN, WINNER], MAX_BLOCK_FACTOR * wanted, seed)
        while True:
            needs_block = not log.is_enough(wanted, MAX_BLOCK_FACTOR * wanted)
            needs_harm = next_look(harm, wanted) is not None
            is_invalid = not (needs_block or log.is_valid)
            if is_invalid or not (needs_block or needs_harm):
                return
            if not needs_block:
                require_alike(log.good)
            self._arms.renew_baselines([BASELINE, AGAIN] if needs_block else [BASELINE])
            if needs_block:
                log.add(self._block(orders[len(log.blocks)], on_arm))
            if needs_harm:
                rate_rps = baseline_rate_rps(log.good or log.blocks) / 2
                harm.add(self._harm_block(len(harm.earlier) + len(harm.blocks), rate_rps))
            self._arms.servers[WINNER].require_no_failed_calls(self._release)

    def _block(self, order: Sequence[str], on_arm: Callable[[], None]) -> Block:
        rates, faults, in_time = {}, [], None
        for name in order:
            result, fault = self._run(name, self._load.spec(self._arms.servers[name].port, self._spec.block_s))
            rates[name] = block_rate_rps(result)
            faults += [fault] if fault else []
            if name == WINNER and self._spec.slo is not None:
                in_time = _in_time(result, self._spec.slo)
            on_arm()
        return Block(rates, faults[0] if faults else None, in_time)

    def _harm_block(self, index: int, rate_rps: float) -> HarmBlock:
        percentile = open_percentile(self._spec.block_s, rate_rps, self._spec.blocks)
        alone_s = alone_seconds(self._spec.block_s, rate_rps)
        open_s = open_seconds(self._spec.block_s, rate_rps, percentile)
        alone: dict[str, LoadResult] = {}
        half_load: dict[str, LoadResult] = {}
        (order,) = interleave([BASELINE, WINNER], 1, self._spec.seed + index)
        for name in order:
            port, reference = self._arms.servers[name].port, self._checks[name]
            alone[name] = measure_spec(self._load.alone(port, alone_s, _SETTLE_S), reference)
            spec = self._load.open(port, open_s, _SETTLE_S, rate_rps=rate_rps, seed=index)
            half_load[name] = measure_spec(spec, reference)
        return HarmBlock(
            alone_us={name: latencies_us(result) for name, result in alone.items()},
            half_load_us={name: latencies_us(result) for name, result in half_load.items()},
            open_rps=rate_rps,
            failed={name: _failed(alone[name]) + _failed(half_load[name]) for name in order},
            fault=harm_fault(alone, half_load, percentile),
            percentile=percentile,
        )

    def _run(self, name: str, spec: LoadSpec) -> tuple[LoadResult, str | None]:
        server = self._arms.servers[name]
        before_s = server.cpu_seconds()
        result = measure_spec(spec, self._checks[name])
        return result, check_window(result, server.cpu_seconds() - before_s).fault


def _failed(result: LoadResult) -> int:
    return int((result.is_in_window & ~result.is_ok).sum())


def _in_time(result: LoadResult, slo: Slo) -> InTime:
    counted = result.is_in_window
    answered = counted & result.is_ok & (result.latency_ns <= slo.limit_ms * 1e6)
    return InTime(int(answered.sum()), int(counted.sum()), latency_percentile_ms(result, slo.percentile))


def _release_name(winner: Candidate) -> str:
    return f"proof:{winner.name}"


def proof_record(proof: Proof, harm: HarmFigures, harm_thrown: int) -> dict[str, Any]:
    """Return the proof as JSON values; the prefix `optimized` stands for the winner."""
    return {
        "rates": {name: list(rates) for name, rates in proof.rates.items()},
        "speedup": proof.speedup.ratio,
        "speedup_ci95": list(proof.speedup.ci95),
        "aa_ratio": proof.against_itself.ratio,
        "aa_ratio_ci95": list(proof.against_itself.ci95),
        "smallest_ratio": proof.smallest_ratio,
        "blocks_thrown": list(proof.thrown),
        "speedup_with_thrown": proof.speedup_of_all.ratio,
        "speedup_with_thrown_ci95": list(proof.speedup_of_all.ci95),
        "slo_in_time_ratio": proof.in_time_ratio,
        "slo_percentile_ms": proof.slo_percentile_ms,
        "alone_p50_ratio": harm.alone.ratio,
        "alone_p50_ratio_ci95": list(harm.alone.ci95),
        "baseline_alone_p50_ms": harm.alone_p50_ms[BASELINE],
        "optimized_alone_p50_ms": harm.alone_p50_ms[WINNER],
        "alone_p50_ms_blocks": {name: list(values) for name, values in harm.alone_p50_ms_blocks.items()},
        "half_load_rps": harm.half_load_rps,
        "half_load_percentile": harm.percentile,
        f"half_load_p{harm.percentile}_ratio": harm.half_load.ratio,
        f"half_load_p{harm.percentile}_ratio_ci95": list(harm.half_load.ci95),
        f"baseline_half_load_p{harm.percentile}_ms": harm.half_load_ms[BASELINE],
        f"optimized_half_load_p{harm.percentile}_ms": harm.half_load_ms[WINNER],
        f"half_load_p{harm.percentile}_ms_blocks": {
            name: list(values) for name, values in harm.half_load_ms_blocks.items()
        },
        "harm_blocks": harm.blocks,
        "harm_blocks_thrown": harm_thrown,
        "baseline_harm_requests": harm.requests[BASELINE],
        "optimized_harm_requests": harm.requests[WINNER],
        "baseline_failed": harm.failed[BASELINE],
        "optimized_failed": harm.failed[WINNER],
    }
