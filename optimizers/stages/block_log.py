"""The blocks of a proof on disk: those that were finished outlive a kill, those that count outlive an invalid run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from bento_monitor.errors import MeasurementError
from bento_monitor.resilience.atomic_files import write_atomic
from bento_monitor.statistics.pairs import MOST_THROWN_RATIO


class HasFault(Protocol):
    """A record of a block, and why it says nothing of its arms, if it does not."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def fault(self) -> str | None:
        """The reason, or None."""


BlockT = TypeVar("BlockT", bound=HasFault)


class BlockLog(Generic[BlockT]):
    """The blocks of this run, and those of earlier runs that were invalid, as far as they count."""

    def __init__(
        self,
        path: Path,
        parse: Callable[[Mapping[str, Any]], BlockT],
        *,
        most_thrown_ratio: float = MOST_THROWN_RATIO,
    ) -> None:
        self._path = path
        self._most_thrown_ratio = most_thrown_ratio
        raw = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"earlier": [], "blocks": []}
        self.earlier = [parse(fields) for fields in raw["earlier"]]
        self.blocks = [parse(fields) for fields in raw["blocks"]]

    @property
    def good(self) -> list[BlockT]:
        """The blocks that count, in the order of measuring."""
        return self.earlier + [block for block in self.blocks if block.fault is None]

    @property
    def faults(self) -> list[str]:
        """Why each other block of this run was thrown away."""
        return [block.fault for block in self.blocks if block.fault is not None]

    @property
    def is_valid(self) -> bool:
        """Whether no more than the allowed share of this run was thrown away."""
        return len(self.faults) <= self._most_thrown_ratio * len(self.blocks)

    def is_enough(self, wanted: int, most: int) -> bool:
        """Whether so many count and the run is valid; or it has `most` blocks, which is too many for that to come.

        A run that goes on from an invalid one measures half as many itself: one block would make any run valid.
        """
        least = (wanted + 1) // 2 if self.earlier else 0
        is_done = len(self.good) >= wanted and self.is_valid and len(self.blocks) >= least
        return is_done or len(self.blocks) >= most

    def add(self, block: BlockT) -> None:
        """One more is finished."""
        self._write(self.earlier, [*self.blocks, block])

    def require_valid(self, what: str) -> None:
        """Refuse a run of which more was thrown away than is allowed; the next one goes on from what counts of it.

        Raises:
            MeasurementError: more was.
        """
        if self.is_valid:
            return
        faults, count, good = self.faults, len(self.blocks), self.good
        self._write(good, [])
        raise MeasurementError(
            f"{len(faults)} of {count} blocks {what} were thrown away, the last because {faults[-1]}: nothing can be "
            f"measured here now. The {len(good)} good ones are kept: run the same command again at a quieter time."
        )

    def clear(self) -> None:
        """Forget all."""
        self._path.unlink(missing_ok=True)
        self.earlier, self.blocks = [], []

    def _write(self, earlier: list[BlockT], blocks: list[BlockT]) -> None:
        raw = {"earlier": [asdict(each) for each in earlier], "blocks": [asdict(each) for each in blocks]}
        write_atomic(self._path, json.dumps(raw, allow_nan=False) + "\n")
        self.earlier, self.blocks = earlier, blocks
