"""The specification of a load."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .arrivals import ArrivalProcess

LoadMode = Literal["closed", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """One load, fully determined by its fields: the same spec sends the same requests in the same order.

    A closed load keeps `connections` requests in flight. An open load sends at planned times, whatever the server does,
    over `connections` that grow up to `max_connections`. A load ends after `warmup_s + duration_s` or after
    `request_count` requests; an open load without these ends when it is stopped.

    Args:
        bodies: request bodies, or a file of request bodies that `write_bodies` wrote.
        headers: sent with each request; bodies are JSON unless a `Content-Type` is among them.
        seed: seed of the order of the bodies (a permutation, repeated) and of the arrivals.
        warmup_s: time before the measured window; its requests are recorded too.
        recording: for recorded arrivals, which have no `rate_rps`: a file with the time of one request, in seconds, on
            each line.
        keep_every: keep the response to every n-th request for checking; 0 keeps none.
        traceparents: the `traceparent` header of each request, repeated if there are fewer headers than requests.
        timeout_s: a request that takes longer counts as failed, and its connection is closed.
    """

    port: int
    path: str
    bodies: tuple[bytes, ...] | Path
    mode: LoadMode
    host: str = "127.0.0.1"
    connections: int = 32
    max_connections: int = 1024
    rate_rps: float | None = None
    arrivals: ArrivalProcess = "poisson"
    recording: Path | None = None
    duration_s: float | None = None
    request_count: int | None = None
    warmup_s: float = 0.0
    seed: int = 0
    keep_every: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    traceparents: tuple[str, ...] = ()
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        for problem, is_wrong in (
            (f"port={self.port} must be from 1 to 65535", not 0 < self.port < 2**16),
            (f"path={self.path!r} must start with /", not self.path.startswith("/")),
            ("bodies is empty: give at least one", self.bodies == ()),
            (f"connections={self.connections} must be at least 1", self.connections < 1),
            ("an open load needs rate_rps above 0", self._is_drawn() and not _is_positive(self.rate_rps)),
            ("recorded arrivals have no rate_rps: leave it out", self._is_recorded() and self.rate_rps is not None),
            ("give recording for recorded arrivals, no others", self._is_recorded() != (self.recording is not None)),
            ("a closed load has no rate_rps: leave it out", self.mode == "closed" and self.rate_rps is not None),
            ("give duration_s or request_count, not both", None not in (self.duration_s, self.request_count)),
            ("a closed load needs duration_s or request_count", self.mode == "closed" and not self._has_end()),
            ("duration_s must be above 0", self.duration_s is not None and not _is_positive(self.duration_s)),
            ("request_count must be at least 1", self.request_count is not None and self.request_count < 1),
            ("warmup_s goes with duration_s", self.warmup_s != 0 and self.request_count is not None),
            (f"warmup_s={self.warmup_s} must be 0 or more", not self.warmup_s >= 0),
            (f"timeout_s={self.timeout_s} must be above 0", not _is_positive(self.timeout_s)),
            (f"keep_every={self.keep_every} must be 0 or more", self.keep_every < 0),
            ("a path, header or traceparent holds a line break", any(map(_has_line_break, self._header_text()))),
        ):
            if is_wrong:
                raise InputError(f"The load cannot be made: {problem}.")

    def to_json(self, bodies: Path) -> str:
        """Return the spec as one line of JSON that names `bodies` as the file of its bodies."""
        recording = None if self.recording is None else str(self.recording.resolve())
        return json.dumps(asdict(self) | {"bodies": str(bodies), "recording": recording})

    @classmethod
    def from_json(cls, text: str) -> LoadSpec:
        """Read a spec from the JSON of `to_json`."""
        fields = json.loads(text)
        fields["bodies"] = Path(fields["bodies"])
        fields["recording"] = None if fields["recording"] is None else Path(fields["recording"])
        fields["headers"] = tuple((name, value) for name, value in fields["headers"])
        fields["traceparents"] = tuple(fields["traceparents"])
        return cls(**fields)

    def _is_recorded(self) -> bool:
        return self.mode == "open" and self.arrivals == "recorded"

    def _is_drawn(self) -> bool:
        return self.mode == "open" and self.arrivals != "recorded"

    def _has_end(self) -> bool:
        return self.duration_s is not None or self.request_count is not None

    def _header_text(self) -> tuple[str, ...]:
        return (self.host, self.path, *self.traceparents, *(text for header in self.headers for text in header))


def body_order(spec: LoadSpec, count: int) -> NDArray[np.int64]:
    """Return the seeded order of `count` bodies; request `i` sends body `order[i % count]`."""
    return np.random.default_rng((spec.seed, 1)).permutation(count)


def _is_positive(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def _has_line_break(text: str) -> bool:
    return "\r" in text or "\n" in text
