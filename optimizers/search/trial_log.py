"""The outcomes of a served search, on disk. Each write is atomic: a kill loses at most one trial."""

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
    """The outcome of one served measurement.

    `violation` is at most 0 if every constraint is met. `alone_ratio` is the median latency of a lone client divided by
    the baseline's; None if it was not measured.
    """

    rps: float
    p99_ms: float
    failed: int
    violation: float
    error: str | None = None
    alone_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A point of the space and its outcome; None if the measurement has begun but not ended."""

    parameters: Parameters
    outcome: TrialOutcome | None = None


class TrialLog:
    """The trials in the order in which they began; only the last one may have no outcome.

    Raises:
        StudyInputError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._trials = _read_trials(path) if path.is_file() else []

    @property
    def measured(self) -> list[tuple[Parameters, TrialOutcome]]:
        """The finished trials."""
        return [(trial.parameters, trial.outcome) for trial in self._trials if trial.outcome is not None]

    @property
    def interrupted(self) -> Parameters | None:
        """The point whose measurement was interrupted, or None."""
        is_interrupted = self._trials and self._trials[-1].outcome is None
        return self._trials[-1].parameters if is_interrupted else None

    def begin(self, parameters: Parameters) -> None:
        """Record the beginning of a measurement; it replaces an interrupted one."""
        self._write([*self._finished(), Trial(dict(parameters))])

    def end(self, outcome: TrialOutcome) -> None:
        """Record the outcome of the current measurement."""
        self._write([*self._finished(), Trial(self._trials[-1].parameters, outcome)])

    def _finished(self) -> list[Trial]:
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
            f"The trials in {path} cannot be read ({error}): remove the file to measure them again."
        ) from error
