"""What a person asks for: the study specification, refused in one sentence where it cannot be used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from .errors import StudyInputError

_SLO = re.compile(r"p(?P<percentile>\d{1,2}(?:\.\d+)?)\s*=\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>ms|s)")


@dataclass(frozen=True, slots=True)
class Slo:
    """A limit on a percentile of latency."""

    percentile: float
    limit_ms: float


def parse_slo(text: str) -> Slo:
    """Read an SLO such as `p99=50ms` or `p95=1.5s`.

    Raises:
        StudyInputError: the text has another form, or the limit is 0.
    """
    match = _SLO.fullmatch(text.strip())
    limit_ms = 0.0
    if match is not None:
        limit_ms = float(match["value"]) * (1000.0 if match["unit"] == "s" else 1.0)
    if match is None or limit_ms <= 0 or float(match["percentile"]) <= 0:
        raise StudyInputError(f"The SLO {text!r} cannot be read: write a percentile and a limit, such as p99=50ms.")
    return Slo(float(match["percentile"]), limit_ms)


class StudySpec(BaseModel):
    """One study; the same specification on the same data and service goes on where it was stopped."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    target: str = Field(description="Service to optimize: module:Service.")
    working_dir: Path = Field(description="Folder that the target is imported from.")
    data: Path = Field(description="The user's data: .npz with the API's input and `labels`.")
    metric: str = Field(description="Name of the accuracy metric.")
    api: str | None = Field(default=None, description="API to optimize; needed where the service has several.")
    max_drop: float = Field(default=0.01, ge=0, description="Largest accuracy drop, as its upper 95 % bound.")
    min_accuracy: float | None = Field(default=None, description="Accuracy that the baseline itself must reach.")
    slo: Slo | None = Field(default=None, description="Limit on latency under the search's load.")
    baseline: str | None = Field(default=None, description="Target that stock BentoML serves as the baseline.")
    workers: tuple[int, ...] = Field(default=(), description="Worker counts to search; none: the server's own.")
    connections: int = Field(default=32, ge=1, description="Closed-loop connections of the load.")
    trials: int = Field(default=10, ge=1, description="Served trials.")
    blocks: int = Field(default=10, ge=3, description="Paired blocks of the proof.")
    block_s: float = Field(default=5.0, gt=0, description="Length of a block of the proof.")
    seed: int = Field(default=0, description="Seed of every random choice.")
