"""Stage 6: the proof. Baseline, baseline again and winner in randomised blocks on fresh servers; paired log-ratios."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bento_monitor.files import write_atomic
from bento_monitor.loadgen import run_load
from bento_monitor.statistics.blocks import interleave
from bento_monitor.statistics.paired import Comparison, compare_paired

from ..candidate import Candidate
from ..measurement.load import StudyLoad, block_rate_rps, measure
from ..measurement.server import ServerChoice, TrialServer, serve_trials
from ..releasing import make_release
from .workbench import Workbench

BASELINE, AGAIN, WINNER = "baseline", "baseline again", "winner"
# BentoML's dispatcher is in training for its first 11 batches; ours needs none, but gets the same requests.
_WARMUP_BATCHES = 12


@dataclass(frozen=True, slots=True)
class Proof:
    """Requests per second of each arm in each block, and the paired comparisons made of them."""

    rates: Mapping[str, Sequence[float]]
    speedup: Comparison
    against_itself: Comparison


def prove(bench: Workbench, load: StudyLoad, winner: Candidate, on_block: Callable[[], None]) -> Proof:
    """Measure the winner against the baseline on servers that nothing was measured on before.

    Blocks that were finished before a kill are kept; the rest is measured on fresh servers.

    Raises:
        MeasurementError: an answer was wrong, or an arm served nothing.
    """
    spec = bench.spec
    done = _BlockLog(bench.folder.path / f"blocks-{winner.name}.json")
    orders = interleave([BASELINE, AGAIN, WINNER], spec.blocks, spec.seed)
    missing = orders[len(done.blocks) :]
    references = dict.fromkeys((BASELINE, AGAIN), bench.baseline_answers())
    references[WINNER] = bench.answers_in(winner.execution)
    if missing:
        with _serve_arms(bench, winner) as servers:
            for server in servers.values():
                run_load(load.warm_up(server.port, _WARMUP_BATCHES))
            for order in missing:
                block = {}
                for name in order:
                    port = servers[name].port
                    block[name] = block_rate_rps(measure(load, port, references[name], spec.block_s))
                    on_block()
                done.add(block)
    rates = {name: [block[name] for block in done.blocks] for name in (BASELINE, AGAIN, WINNER)}
    return Proof(
        rates=rates,
        speedup=compare_paired(rates[WINNER], rates[BASELINE]),
        against_itself=compare_paired(rates[AGAIN], rates[BASELINE]),
    )


class _BlockLog:
    """The blocks that were finished; one that was cut off is measured again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.is_file() else "[]"
        self.blocks: list[dict[str, float]] = json.loads(text)

    def add(self, block: dict[str, float]) -> None:
        self.blocks.append(block)
        write_atomic(self._path, json.dumps(self.blocks, indent=1) + "\n")


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
        servers[WINNER].take(make_release(f"proof:{winner.name}", subject, winner, artifact), artifact.path)
        yield servers


def proof_record(proof: Proof) -> dict[str, Any]:
    """The proof as JSON can hold it."""
    return {
        "rates": {name: list(rates) for name, rates in proof.rates.items()},
        "speedup": proof.speedup.ratio,
        "speedup_ci95": list(proof.speedup.ci95),
        "aa_ratio": proof.against_itself.ratio,
        "aa_ratio_ci95": list(proof.against_itself.ci95),
    }
