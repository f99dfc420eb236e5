"""What a receiver has taken, and how it treats what comes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from .faults import Fault

TRACES_PATH, METRICS_PATH = "/v1/traces", "/v1/metrics"


@dataclass(frozen=True, slots=True)
class Export:
    """One export that was taken: its message, and the headers that it came with, in lower case."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class Inbox:
    """What the servers of a receiver share; exports are parsed when somebody asks for them, not when they come."""

    fault: Fault | None = None
    attempts: int = 0
    exports: list[Export] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
