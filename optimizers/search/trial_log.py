"""What a served search has measured, on disk. Each write is whole: a kill loses one trial at most."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bento_monitor.resilience.atomic_files import write_atomic

from ..errors import StudyInputError

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What one served measurement gave. `violation` is at most 0 where every constraint is met.

    `alone_ratio` is the median latency of a lone client over the baseline's; none where it was not measured.
    """

    rps: float
    p99_ms: float
    failed: int
    violation: float
    error: str | None = None
    alone_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A point of the space; without an outcome, its measurement was begun and has not ended."""

    parameters: Parameters
    outcome: TrialOutcome | None = None


class TrialLog:
    """The trials in the order in which they were begun; only the last one may have no outcome.

    Raises:
        StudyInputError: the file was damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._trials = _read_trials(path) if path.is_file() else []

    @property
    def measured(self) -> list[tuple[Parameters, TrialOutcome]]:
        """The trials that came to their end."""
        return [(trial.parameters, trial.outcome) for trial in self._trials if trial.outcome is not None]

    @property
    def interrupted(self) -> Parameters | None:
        """The point whose measurement was cut off."""
        cut_off = self._trials and self._trials[-1].outcome is None
        return self._trials[-1].parameters if cut_off else None

    def begin(self, parameters: Parameters) -> None:
        """Note what is measured next, in place of one that was cut off."""
        self._write([*self._ended(), Trial(dict(parameters))])

    def end(self, outcome: TrialOutcome) -> None:
        """Note what the measurement that was begun gave."""
        self._write([*self._ended(), Trial(self._trials[-1].parameters, outcome)])

    def _ended(self) -> list[Trial]:
        return [trial for trial in self._trials if trial.outcome is not None]

    def _write(self, trials: list[Trial]) -> None:
        text = json.dumps([asdict(trial) for trial in trials], indent=1, allow_nan=False)
        write_atomic(self._path, text + "\n")
        self._trials = trials


def _read_trials(path: Path) -> list[Trial]:
    try:
        return [
            Trial(entry["parameters"], None if entry["outcome"] is None else TrialOutcome(**entry["outcome"]))
            for entry in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise StudyInputError(
            f"The trials in {path} cannot be read ({error}): remove the file, and they are measured again."
        ) from error
