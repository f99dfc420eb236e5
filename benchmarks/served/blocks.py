"""Blocks of several arms in turn, each between two checks of the responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from served.arms import Arm
from served.check import Workload
from served.pauses import forget_pauses, longest_pauses_ms
from wrk import Block, run_block

from bento_monitor.lab.statistics.blocks import interleave

WARM_UP_S = 2
Samples = dict[str, list["Sample"]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One block of an arm, and what was measured around it; None for what was not measured.

    `wrong` counts among the 200 responses around it; `bare_ratio` is the bare function's CPU time over the server's.
    """

    block: Block
    wrong: int
    longest_pause_ms: float | None
    longest_pause_cpu_ms: float | None
    largest_share: float | None
    bare_ratio: float | None

    @property
    def is_failed(self) -> bool:
        """Whether a response was wrong or a request failed: comparisons then leave the block out."""
        return self.wrong > 0 or self.block.failed > 0


class Beside(Protocol):
    """A measurement around a block of one arm: called just before the block, and just after it."""

    def before(self, arm: Arm) -> None: ...

    def after(self, arm: Arm, block: Block) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured; `against` is another commit to measure next to this one."""

    blocks: int
    seconds: int
    connections: int = 16
    against: str | None = None


def measure(arms: Mapping[str, Arm], workload: Workload, plan: Plan, beside: Beside | None = None) -> Samples:
    """Measure blocks of every arm, each round in its own order; the first arm's responses are the expected ones."""
    expected = workload.expect(next(iter(arms.values())).port)
    for arm in arms.values():  # stock's dispatcher is in training for its first 11 batches
        _load(arm, workload, plan, WARM_UP_S)
    found: Samples = {name: [] for name in arms}
    for order in interleave(list(arms), plan.blocks, seed=0):
        for name in order:
            sample = _measure_one(arms[name], workload, plan, expected, beside)
            found[name].append(sample)
            _print(name, workload, plan, sample)
    return found


def _measure_one(arm: Arm, workload: Workload, plan: Plan, expected: Sequence[bytes], beside: Beside | None) -> Sample:
    wrong = workload.count_wrong(arm.port, expected)
    shares: list[float] = []
    if beside is not None:
        beside.before(arm)
    if arm.pauses is not None:
        forget_pauses(arm.pauses)
    block = _load(arm, workload, plan, plan.seconds, shares)
    pauses_ms: tuple[float | None, float | None] = (None, None)
    if arm.pauses is not None:
        pauses_ms = longest_pauses_ms(arm.pauses, [worker.pid for worker in arm.workers])
    bare_ratio = None if beside is None else beside.after(arm, block)
    wrong += workload.count_wrong(arm.port, expected)
    return Sample(block, wrong, *pauses_ms, shares[0] if shares else None, bare_ratio)


def _load(arm: Arm, workload: Workload, plan: Plan, seconds: int, shares: list[float] | None = None) -> Block:
    def halfway() -> None:
        if shares is not None and len(arm.workers) > 1:
            shares.append(arm.largest_connection_share())

    url = f"http://127.0.0.1:{arm.port}{workload.path}"
    return run_block(
        url,
        workload.bodies,
        plan.connections,
        seconds,
        headers=workload.headers,
        cpu_seconds=arm.cpu_seconds,
        halfway=halfway,
    )


def _print(name: str, workload: Workload, plan: Plan, sample: Sample) -> None:
    block = sample.block
    line = f"{workload.path:11} {plan.connections:2} {name:18} {block.rps:8.0f} requests/s  p99 {block.p99_ms:7.2f} ms"
    if sample.longest_pause_ms is not None:
        line += f"  collector {sample.longest_pause_ms:6.2f} ms, {sample.longest_pause_cpu_ms:5.2f} ms of CPU"
    if sample.largest_share is not None:
        line += f"  largest share {sample.largest_share:.2f}"
    if sample.bare_ratio is not None:
        line += f"  bare/served {sample.bare_ratio:.2f}"
    if sample.is_failed:
        line += f"  FAILED: {sample.wrong} wrong, {block.failed} failed"
    print(line, flush=True)
