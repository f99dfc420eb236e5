"""Whether a winner harms clients of a server that is not full: a lone client, and the p99 at half of the load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import Comparison, compare_paired

from .block_log import BlockLog
from .blocks import BASELINE, MAX_BLOCK_FACTOR, WINNER

MAX_ALONE_RATIO = 1.10
MAX_HALF_LOAD_RATIO = 1.25
# The p99 of fewer than 100 requests is simply the slowest one. Blocks are planned for twice as many requests; blocks
# that end up with fewer than 100 are pooled. A service that does not answer enough for a p99 gets a p90.
_MIN_REQUESTS: Mapping[int, int] = {99: 100, 90: 20}
_PLANNED_TIMES: Mapping[int, int] = {99: 2, 90: 1}
_MIN_GROUPS = 3
_MAX_THROWN_RATIO = 0.5
_MIN_ALONE_REQUESTS = 3
_ALONE_OF_BLOCK, _OPEN_OF_BLOCK, _MAX_OF_BLOCK = 0.4, 0.5, 4.0
# The intervals are evaluated after a few blocks, and one, two and three times as many as wanted: each look has a
# quarter of the error.
_FIRST_LOOK = 5
_CONFIDENCE = 1 - 0.05 / (1 + MAX_BLOCK_FACTOR)


@dataclass(frozen=True, slots=True)
class HarmBlock:
    """Latency of each answered request in microseconds, by arm: of a lone client, and of an open load.

    `open_rps` is the rate of the open load. `failed` is the number of failed requests of both loads, by arm.
    `percentile` is that of the open load for which the block was long enough.
    """

    alone_us: Mapping[str, Sequence[int]]
    half_load_us: Mapping[str, Sequence[int]]
    open_rps: float
    failed: Mapping[str, int]
    fault: str | None
    percentile: int = 99


@dataclass(frozen=True, slots=True)
class HarmFigures:
    """Latency of the winner divided by that of the baseline, in `blocks` blocks: ratios above 1 mean harm.

    `percentile` is that of the open load: 99, or 90 of a service with too few answers for a p99.
    The intervals have 95 % confidence over all four looks together. The figures in milliseconds are by arm: of all
    requests, and of each block (of each group of blocks for the p99).
    """

    alone: Comparison
    half_load: Comparison
    percentile: int
    alone_p50_ms: Mapping[str, float]
    half_load_ms: Mapping[str, float]
    alone_p50_ms_blocks: Mapping[str, Sequence[float]]
    half_load_ms_blocks: Mapping[str, Sequence[float]]
    half_load_rps: float
    requests: Mapping[str, int]
    failed: Mapping[str, int]
    blocks: int

    @property
    def is_harmless(self) -> bool:
        """Whether harm is excluded: the upper ends of both intervals are within their limits."""
        return self.alone.high <= MAX_ALONE_RATIO and self.half_load.high <= MAX_HALF_LOAD_RATIO

    @property
    def is_harmful(self) -> bool:
        """Whether harm is shown: the lower end of an interval exceeds its limit, so that more blocks would not help."""
        return self.alone.low > MAX_ALONE_RATIO or self.half_load.low > MAX_HALF_LOAD_RATIO


def read_harm_log(path: Path) -> BlockLog[HarmBlock]:
    """Read the blocks measured so far.

    Up to half may be thrown away, while a proof allows a tenth: a p99 reacts to short disturbances that do not change a
    block's rate.
    """
    return BlockLog(path, parse_harm_block, most_thrown_ratio=_MAX_THROWN_RATIO)


def parse_harm_block(raw: Mapping[str, Any]) -> HarmBlock:
    """Parse a block from its JSON record."""
    return HarmBlock(**raw)


def alone_seconds(block_s: float, rate_rps: float) -> float:
    """Return how many seconds a lone client sends requests in a block.

    That is two fifths of a closed block, or as long as the open load needs for three requests, up to a closed block.
    """
    return min(max(_ALONE_OF_BLOCK * block_s, _MIN_ALONE_REQUESTS / rate_rps), block_s)


def open_percentile(block_s: float, rate_rps: float, wanted: int) -> int:
    """Return the percentile of an open load that is compared: 99, or 90 if `wanted` blocks have too few for a p99."""
    return 99 if wanted * _MAX_OF_BLOCK * block_s * rate_rps >= _MIN_GROUPS * _MIN_REQUESTS[99] else 90


def open_seconds(block_s: float, rate_rps: float, percentile: int) -> float:
    """Return how many seconds an open load runs in a block.

    That is long enough for 200 requests (20 for a p90), but at most four times a closed block.
    """
    needed_s = _PLANNED_TIMES[percentile] * _MIN_REQUESTS[percentile] / rate_rps
    return min(max(_OPEN_OF_BLOCK * block_s, needed_s), _MAX_OF_BLOCK * block_s)


def next_look(log: BlockLog[HarmBlock], wanted: int) -> int | None:
    """Return the number of good blocks for the next look; None if harm is shown or excluded, or no blocks are left."""
    for look in _looks(wanted):
        if not log.is_enough(look, _most(look, wanted)):
            return look
        if len(log.good) < look:
            return None
        figures = _figures_of(log.good[:look])
        if figures is not None and (figures.is_harmless or figures.is_harmful):
            return None
    return None


def judge_harm(log: BlockLog[HarmBlock], wanted: int) -> HarmFigures:
    """Return the figures of the last look.

    Raises:
        MeasurementError: over half of the blocks were thrown away, or there are too few requests for a p99.
    """
    log.require_valid("of the lone client and the open load")
    figures = None
    for look in _looks(wanted):
        if len(log.good) < look:
            break
        figures = _figures_of(log.good[:look])
        if figures is not None and (figures.is_harmless or figures.is_harmful):
            break
    if figures is None:
        count = sum(len(block.half_load_us[WINNER]) for block in log.good)
        percentile = _percentile_of(log.good)
        raise MeasurementError(
            f"The open load gave {count} answers in {len(log.good)} blocks, too few for {_MIN_GROUPS} groups of "
            f"{_MIN_REQUESTS[percentile]}, which a p{percentile} needs: increase --block-seconds or --blocks."
        )
    return figures


def _looks(wanted: int) -> list[int]:
    whole = [wanted * times for times in range(1, MAX_BLOCK_FACTOR + 1)]
    return [_FIRST_LOOK, *whole] if wanted > _FIRST_LOOK else whole


def _most(look: int, wanted: int) -> int:
    """Return the number of blocks, good or not, after which a run gives up on a look."""
    return max(MAX_BLOCK_FACTOR * wanted, 2 * look)


def _figures_of(blocks: Sequence[HarmBlock]) -> HarmFigures | None:
    """Return the figures of the blocks; None if they have too few requests for a p99."""
    arms = (BASELINE, WINNER)
    percentile = _percentile_of(blocks)
    groups = _groups(blocks, _MIN_REQUESTS[percentile])
    if len(groups) < _MIN_GROUPS:
        return None
    alone = {arm: [_percentile_ms([block], "alone_us", arm, 50) for block in blocks] for arm in arms}
    half_load = {arm: [_percentile_ms(group, "half_load_us", arm, percentile) for group in groups] for arm in arms}
    return HarmFigures(
        alone=compare_paired(alone[WINNER], alone[BASELINE], confidence=_CONFIDENCE),
        half_load=compare_paired(half_load[WINNER], half_load[BASELINE], confidence=_CONFIDENCE),
        percentile=percentile,
        alone_p50_ms={arm: _percentile_ms(blocks, "alone_us", arm, 50) for arm in arms},
        half_load_ms={arm: _percentile_ms(blocks, "half_load_us", arm, percentile) for arm in arms},
        alone_p50_ms_blocks=alone,
        half_load_ms_blocks=half_load,
        half_load_rps=sum(block.open_rps for block in blocks) / len(blocks),
        requests={
            arm: sum(len(block.alone_us[arm]) + len(block.half_load_us[arm]) + block.failed[arm] for block in blocks)
            for arm in arms
        },
        failed={arm: sum(block.failed[arm] for block in blocks) for arm in arms},
        blocks=len(blocks),
    )


def _percentile_of(blocks: Sequence[HarmBlock]) -> int:
    """Return the percentile that all blocks are long enough for."""
    return min((block.percentile for block in blocks), default=99)


def _groups(blocks: Sequence[HarmBlock], least: int) -> list[list[HarmBlock]]:
    """Pool neighboring blocks until each group has enough requests of both arms; the rest joins the last group.

    Only the request counts decide, never the latencies.
    """
    groups: list[list[HarmBlock]] = []
    group: list[HarmBlock] = []
    for block in blocks:
        group.append(block)
        if min(sum(len(each.half_load_us[arm]) for each in group) for arm in (BASELINE, WINNER)) >= least:
            groups.append(group)
            group = []
    if groups:
        groups[-1] += group
    return groups


def _percentile_ms(blocks: Sequence[HarmBlock], load: str, arm: str, percentile: float) -> float:
    latencies = [value for block in blocks for value in getattr(block, load)[arm]]
    if not latencies:
        raise MeasurementError(f"The {arm} answered no request of a lone client, so there is no latency to compare.")
    return float(np.percentile(latencies, percentile, method="inverted_cdf")) / 1000
