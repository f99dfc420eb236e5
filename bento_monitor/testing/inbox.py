"""State of a receiver: accepted exports, and the current fault."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from .faults import Fault

TRACES_PATH, METRICS_PATH = "/v1/traces", "/v1/metrics"


@dataclass(frozen=True, slots=True)
class Export:
    """One accepted export: its message and its headers, with names in lower case."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class Inbox:
    """State that a receiver shares with its server; exports are parsed when they are read, not on arrival."""

    fault: Fault | None = None
    attempts: int = 0
    exports: list[Export] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
