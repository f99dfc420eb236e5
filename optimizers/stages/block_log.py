"""The blocks of a proof, on disk: finished blocks survive a kill, and good blocks survive an invalid run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from bento_monitor.errors import MeasurementError
from bento_monitor.resilience.atomic_files import write_atomic
from bento_monitor.statistics.pairs import MAX_THROWN_RATIO


class HasFault(Protocol):
    """A record of a block with a fault, if it has one; a block with a fault is not used to compare its arms."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def fault(self) -> str | None:
        """The reason why the block cannot be used, or None."""


BlockT = TypeVar("BlockT", bound=HasFault)


class BlockLog(Generic[BlockT]):
    """The blocks of this run, and the good blocks of earlier invalid runs."""

    def __init__(
        self,
        path: Path,
        parse: Callable[[Mapping[str, Any]], BlockT],
        *,
        most_thrown_ratio: float = MAX_THROWN_RATIO,
    ) -> None:
        self._path = path
        self._most_thrown_ratio = most_thrown_ratio
        raw = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"earlier": [], "blocks": []}
        self.earlier = [parse(fields) for fields in raw["earlier"]]
        self.blocks = [parse(fields) for fields in raw["blocks"]]

    @property
    def good(self) -> list[BlockT]:
        """The blocks without a fault, in the order of measurement."""
        return self.earlier + [block for block in self.blocks if block.fault is None]

    @property
    def faults(self) -> list[str]:
        """The fault of each block of this run that was thrown away."""
        return [block.fault for block in self.blocks if block.fault is not None]

    @property
    def is_valid(self) -> bool:
        """Whether at most the allowed share of this run's blocks was thrown away."""
        return len(self.faults) <= self._most_thrown_ratio * len(self.blocks)

    def is_enough(self, wanted: int, most: int) -> bool:
        """Whether to stop: the run is valid with `wanted` good blocks, or has reached `most` blocks.

        A run that continues an invalid one must measure half of `wanted` itself; otherwise a single new block could
        make the run valid.
        """
        least = (wanted + 1) // 2 if self.earlier else 0
        is_done = len(self.good) >= wanted and self.is_valid and len(self.blocks) >= least
        return is_done or len(self.blocks) >= most

    def add(self, block: BlockT) -> None:
        """Add a finished block."""
        self._write(self.earlier, [*self.blocks, block])

    def require_valid(self, what: str) -> None:
        """Refuse a run with too many thrown-away blocks; the next run continues with its good blocks.

        Raises:
            MeasurementError: more than the allowed share of the blocks was thrown away.
        """
        if self.is_valid:
            return
        faults, count, good = self.faults, len(self.blocks), self.good
        self._write(good, [])
        raise MeasurementError(
            f"{len(faults)} of {count} blocks {what} were thrown away, the last because {faults[-1]}: the machine is "
            f"too noisy now. The {len(good)} good ones are kept: run the same command again at a quieter time."
        )

    def clear(self) -> None:
        """Remove all blocks."""
        self._path.unlink(missing_ok=True)
        self.earlier, self.blocks = [], []

    def _write(self, earlier: list[BlockT], blocks: list[BlockT]) -> None:
        raw = {"earlier": [asdict(each) for each in earlier], "blocks": [asdict(each) for each in blocks]}
        write_atomic(self._path, json.dumps(raw, allow_nan=False) + "\n")
        self.earlier, self.blocks = earlier, blocks
