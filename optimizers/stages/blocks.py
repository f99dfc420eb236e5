"""The closed-loop blocks of a proof: the rate of each arm in them, and the comparison of the arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import (
    Comparison,
    RigCheck,
    check_rig,
    compare_paired,
    smallest_paired_ratio,
)
from bento_monitor.statistics import Pair

BASELINE, AGAIN, WINNER = "baseline", "baseline again", "winner"
# Blocks spoiled by noise are measured again, up to this many times the wanted number of blocks in total.
MAX_BLOCK_FACTOR = 3


@dataclass(frozen=True, slots=True)
class InTime:
    """The winner's block under an SLO: `answered` of `requests` were in time; and the SLO's percentile of latency."""

    answered: int
    requests: int
    percentile_ms: float


@dataclass(frozen=True, slots=True)
class Block:
    """Requests per second of each arm, and the fault that makes the block unusable, or None."""

    rates: Mapping[str, float]
    fault: str | None
    in_time: InTime | None = None


def parse_block(raw: Mapping[str, Any]) -> Block:
    """Parse a block from its JSON record."""
    in_time = raw["in_time"]
    return Block(raw["rates"], raw["fault"], None if in_time is None else InTime(**in_time))


@dataclass(frozen=True, slots=True)
class Proof:
    """Requests per second of each arm in each good block, and the paired comparisons of the arms.

    `smallest_ratio` is the smallest speed-up that this number of blocks would prove on this machine, nine times in ten:
    its interval lies above 1 and above the interval of the baseline against itself. `thrown` has the fault of each
    block that was thrown away, and `speedup_of_all` includes these blocks. `in_time_ratio` is the share of the winner's
    requests that met the SLO. `slo_percentile_ms` is the median over the blocks of the SLO's percentile.
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
        RigError: the two baseline arms differ from each other.
        MeasurementError: a rate is not above 0.
    """
    kept, every = _rates(good), _rates([*good, *thrown])
    rig = _check_rig(good)
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


def require_alike(good: Sequence[Block]) -> None:
    """Refuse blocks that `judge` would not compare, so that no more is measured for them.

    Raises:
        RigError: the two baseline arms differ from each other.
    """
    if all(block.rates[name] > 0 for block in good for name in (BASELINE, AGAIN)):
        _check_rig(good).require()


def baseline_rate_rps(blocks: Sequence[Block]) -> float:
    """Return the mean rate of the baseline so far.

    Raises:
        MeasurementError: there are no blocks.
    """
    if not blocks:
        raise MeasurementError("The baseline has no closed block yet: measure one before a load at half of its rate.")
    return sum(block.rates[BASELINE] for block in blocks) / len(blocks)


def _check_rig(good: Sequence[Block]) -> RigCheck:
    return check_rig([Pair(block.rates[AGAIN], block.rates[BASELINE]).log_ratio for block in good])


def _rates(blocks: Sequence[Block]) -> dict[str, list[float]]:
    return {name: [block.rates[name] for block in blocks] for name in (BASELINE, AGAIN, WINNER)}
