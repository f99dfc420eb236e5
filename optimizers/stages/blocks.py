"""The closed blocks of a proof: what each arm made in them, and what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import Comparison, check_rig, compare_paired, smallest_paired_ratio
from bento_monitor.statistics import Pair

BASELINE, AGAIN, WINNER = "baseline", "baseline again", "winner"
# A machine that is disturbed for a moment gets more blocks; one that is disturbed all the time gets no more than that.
MOST_TIMES = 3


@dataclass(frozen=True, slots=True)
class InTime:
    """The winner under an SLO: of `requests`, so many were answered in time; and the SLO's percentile of the block."""

    answered: int
    requests: int
    percentile_ms: float


@dataclass(frozen=True, slots=True)
class Block:
    """Requests per second of each arm, and why the block says nothing of them, if it does not."""

    rates: Mapping[str, float]
    fault: str | None
    in_time: InTime | None = None


def parse_block(raw: Mapping[str, Any]) -> Block:
    """Read back a block from JSON."""
    in_time = raw["in_time"]
    return Block(raw["rates"], raw["fault"], None if in_time is None else InTime(**in_time))


@dataclass(frozen=True, slots=True)
class Proof:
    """Requests per second of each arm in each block that counts, and the paired comparisons made of them.

    `smallest_ratio` is the smallest speed-up that as many blocks would prove here, nine times in ten: its interval lies
    above 1 and above that of the baseline against itself. `thrown` says why each other block was thrown away, and
    `speedup_of_all` has these too. `in_time_ratio` is the share of the winner's requests that met the SLO.
    """

    rates: Mapping[str, Sequence[float]]
    speedup: Comparison
    against_itself: Comparison
    smallest_ratio: float
    thrown: tuple[str, ...]
    speedup_of_all: Comparison
    in_time_ratio: float | None
    slo_percentile_ms: float | None


def judge(good: Sequence[Block], thrown: Sequence[Block] = ()) -> Proof:
    """Compare the arms, block by block.

    Raises:
        MeasurementError: a rate is not above 0, or the baseline differs from itself.
    """
    kept, every = _rates(good), _rates([*good, *thrown])
    rig = check_rig([Pair(block.rates[AGAIN], block.rates[BASELINE]).log_ratio for block in good])
    rig.require()
    against_itself = compare_paired(kept[AGAIN], kept[BASELINE])
    counted = [block.in_time for block in good if block.in_time is not None]
    requests = sum(each.requests for each in counted)
    return Proof(
        rates=kept,
        speedup=compare_paired(kept[WINNER], kept[BASELINE]),
        against_itself=against_itself,
        smallest_ratio=smallest_paired_ratio(rig.sd, rig.n) * max(1.0, against_itself.high),
        thrown=tuple(block.fault for block in thrown if block.fault is not None),
        speedup_of_all=compare_paired(every[WINNER], every[BASELINE]),
        in_time_ratio=sum(each.answered for each in counted) / requests if requests else None,
        slo_percentile_ms=median(each.percentile_ms for each in counted) if counted else None,
    )


def baseline_rate_rps(blocks: Sequence[Block]) -> float:
    """The mean rate of the baseline so far.

    Raises:
        MeasurementError: there are no blocks.
    """
    if not blocks:
        raise MeasurementError("The baseline has no closed block yet, so there is no half of its rate.")
    return sum(block.rates[BASELINE] for block in blocks) / len(blocks)


def _rates(blocks: Sequence[Block]) -> dict[str, list[float]]:
    return {name: [block.rates[name] for block in blocks] for name in (BASELINE, AGAIN, WINNER)}
