"""The blocks of a proof: what each arm made in them, which of them count, and what they show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bento_monitor.files import write_atomic
from bento_monitor.statistics import Comparison, Pair, PairedRun, check_rig, collect_pairs, compare_paired

BASELINE, AGAIN, WINNER = "baseline", "baseline again", "winner"
# A false refusal costs the whole proof: the baseline must differ from itself beyond any doubt.
_RIG_ALPHA = 0.01
# A machine that is disturbed for a moment gets more blocks; one that is disturbed all the time gets no more than that.
MOST_TIMES = 3


@dataclass(frozen=True, slots=True)
class Block:
    """Requests per second of each arm, and why the block says nothing of them, if it does not."""

    rates: Mapping[str, float]
    fault: str | None


class BlockLog:
    """The blocks that were finished, on disk; one that was cut off is measured again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.is_file() else "[]"
        self.blocks = [Block(**fields) for fields in json.loads(text)]

    def add(self, block: Block) -> None:
        """One more is finished."""
        self.blocks.append(block)
        write_atomic(self._path, json.dumps([asdict(each) for each in self.blocks], indent=1) + "\n")

    def clear(self) -> None:
        """Forget all."""
        self._path.unlink(missing_ok=True)
        self.blocks = []

    def is_enough(self, wanted: int) -> bool:
        """Whether so many count, and no more than a tenth was thrown away; or there are too many for that to come."""
        run = _pairs(self.blocks, WINNER)
        return (len(run.kept) >= wanted and run.is_valid) or len(run.every) >= MOST_TIMES * wanted


@dataclass(frozen=True, slots=True)
class Proof:
    """Requests per second of each arm in each block that counts, and the paired comparisons made of them.

    `smallest_ratio` is the smallest speed-up that as many blocks would find here, nine times in ten, by the baseline
    against itself. `thrown` says why each other block was thrown away, and `speedup_of_all` has these too.
    """

    rates: Mapping[str, Sequence[float]]
    speedup: Comparison
    against_itself: Comparison
    smallest_ratio: float
    thrown: tuple[str, ...]
    speedup_of_all: Comparison


def judge(blocks: Sequence[Block]) -> Proof:
    """Compare the arms, block by block.

    Raises:
        MeasurementError: a rate is not above 0, over a tenth of the blocks was thrown away, or the baseline differs
            from itself.
    """
    run = _pairs(blocks, WINNER)
    run.require()
    rig = check_rig(_pairs(blocks, AGAIN).kept, alpha=_RIG_ALPHA)
    rig.require()
    kept = _rates([block for block in blocks if block.fault is None])
    every = _rates(blocks)
    return Proof(
        rates=kept,
        speedup=compare_paired(kept[WINNER], kept[BASELINE]),
        against_itself=compare_paired(kept[AGAIN], kept[BASELINE]),
        smallest_ratio=rig.smallest_ratio,
        thrown=run.faults,
        speedup_of_all=compare_paired(every[WINNER], every[BASELINE]),
    )


def _pairs(blocks: Sequence[Block], arm: str) -> PairedRun:
    return collect_pairs([Pair(block.rates[arm], block.rates[BASELINE], block.fault) for block in blocks])


def _rates(blocks: Sequence[Block]) -> dict[str, list[float]]:
    return {name: [block.rates[name] for block in blocks] for name in (BASELINE, AGAIN, WINNER)}
