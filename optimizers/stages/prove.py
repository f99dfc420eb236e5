"""Stage 6: the proof. Baseline, baseline again and winner in randomised blocks on fresh servers; paired log-ratios."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bento_monitor.errors import MeasurementError
from bento_monitor.loadgen import run_load
from bento_monitor.loadgen.validity import check_window
from bento_monitor.model_host.answer_values import Answers
from bento_monitor.statistics import interleave

from ..candidate import Candidate
from ..measurement.load import StudyLoad, block_rate_rps, measure
from ..measurement.server import ServerChoice, TrialServer, serve_trials
from ..releasing import make_release
from .blocks import AGAIN, BASELINE, MOST_TIMES, WINNER, Block, BlockLog, Proof, judge
from .workbench import Workbench

# BentoML's dispatcher is in training for its first 11 batches; ours needs none, but gets the same requests.
_WARMUP_BATCHES = 12


def prove(bench: Workbench, load: StudyLoad, winner: Candidate, on_arm: Callable[[], None]) -> Proof:
    """Measure the winner against the baseline on servers that nothing was measured on before.

    Blocks that were finished before a kill are kept; the rest is measured on fresh servers. A block in which the
    machine was in the way is thrown away, and another measured.

    Raises:
        MeasurementError: an answer was wrong, an arm served nothing, over a tenth of the blocks was thrown away, or the
            baseline differs from itself; after the last two, the next call measures all blocks anew.
    """
    spec = bench.spec
    done = BlockLog(bench.folder.path / f"blocks-{winner.name}.json")
    references = dict.fromkeys((BASELINE, AGAIN), bench.baseline_answers())
    references[WINNER] = bench.answers_in(winner.execution)
    if not done.is_enough(spec.blocks):
        orders = interleave([BASELINE, AGAIN, WINNER], MOST_TIMES * spec.blocks, spec.seed)
        with _serve_arms(bench, winner) as servers:
            for server in servers.values():
                run_load(load.warm_up(server.port, _WARMUP_BATCHES))
            for order in orders[len(done.blocks) :]:
                rates, faults = {}, []
                for name in order:
                    rates[name], fault = _measure_arm(load, servers[name], references[name], spec.block_s)
                    faults += [fault] if fault else []
                    on_arm()
                servers[WINNER].require_no_failed_calls(_release_name(winner))
                done.add(Block(rates, faults[0] if faults else None))
                if done.is_enough(spec.blocks):
                    break
    try:
        return judge(done.blocks)
    except MeasurementError:
        done.clear()
        raise


def _measure_arm(load: StudyLoad, server: TrialServer, reference: Answers, seconds: float) -> tuple[float, str | None]:
    before_s = server.cpu_seconds()
    result = measure(load, server.port, reference, seconds)
    return block_rate_rps(result), check_window(result, server.cpu_seconds() - before_s).fault


@contextmanager
def _serve_arms(bench: Workbench, winner: Candidate) -> Iterator[dict[str, TrialServer]]:
    spec, subject = bench.spec, bench.subject.subject
    baseline = ServerChoice(
        target=spec.baseline or spec.target,
        working_dir=spec.working_dir,
        service=subject.service,
        kind="monitored" if spec.baseline is None else "stock",
        workers=bench.subject.workers[0],
    )
    own = ServerChoice(spec.target, spec.working_dir, subject.service, "monitored", winner.workers)
    choices = {BASELINE: baseline, AGAIN: baseline, WINNER: own}
    with serve_trials(choices, bench.folder.path / "proof") as servers:
        artifact = bench.artifact(winner.execution)
        servers[WINNER].take(make_release(_release_name(winner), subject, winner, artifact), artifact.path)
        yield servers


def _release_name(winner: Candidate) -> str:
    return f"proof:{winner.name}"


def proof_record(proof: Proof) -> dict[str, Any]:
    """The proof as JSON can hold it."""
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
    }
