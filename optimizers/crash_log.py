"""What crashed, hung or took too much memory before, so that no study tries it a third time on the same versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bento_monitor.errors import ReleaseError
from bento_monitor.lab.model_host.process import HostFault
from bento_monitor.resilience.atomic_files import write_atomic

MAX_TRIES = 2
_WORDS = {"crash": "crashed", "hang": "hung", "memory": "took too much memory"}


class CandidateFaultError(ReleaseError):
    """A candidate crashed or hung its process, or took too much memory; the study goes on without it."""

    def __init__(self, message: str, fault: HostFault) -> None:
        super().__init__(message, "fault")
        self.fault: HostFault = fault


class CrashLog:
    """Faults of candidates by model, versions and machine, in a file that all studies of a folder share."""

    def __init__(self, path: Path, circumstances: Mapping[str, Any], *, retry: bool) -> None:
        """Use the file `path`; with `retry`, nothing is left out."""
        self._path = path
        self._circumstances = json.dumps(circumstances, sort_keys=True)
        self._retry = retry

    def check(self, candidate: str) -> None:
        """Raise CandidateFaultError if the candidate failed alike twice in these circumstances."""
        entry = self._read().get(self._key(candidate))
        if entry is not None and entry["count"] >= MAX_TRIES and not self._retry:
            raise CandidateFaultError(
                f"It {_WORDS[entry['fault']]} {entry['count']} times here with these versions and was not tried again "
                "(--retry does).",
                entry["fault"],
            )

    def add(self, candidate: str, fault: HostFault, message: str) -> None:
        """Count a fault; another fault than the last one begins the count anew."""
        entries, key = self._read(), self._key(candidate)
        before = entries.get(key)
        count = before["count"] + 1 if before is not None and before["fault"] == fault else 1
        entries[key] = {"candidate": candidate, "fault": fault, "message": message, "count": count}
        write_atomic(self._path, json.dumps(entries, indent=2, sort_keys=True) + "\n")

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _key(self, candidate: str) -> str:
        return hashlib.sha256(f"{self._circumstances} {candidate}".encode()).hexdigest()[:16]
