"""The specification of a study; a specification that cannot be used is refused with a one-sentence error."""

from __future__ import annotations

import shlex
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from bento_monitor.lab.loadgen.slo import Slo

from .accuracy.tolerance import Tolerance
from .search_space.choices import ALL, SpaceChoices


class StudySpec(BaseModel):
    """The specification of one study; the same specification on the same data and service resumes a stopped study."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    target: str = Field(description="Service to optimize: module:Service.")
    working_dir: Path = Field(description="Folder that the target is imported from.")
    data: Path = Field(description="The user's data: .npz, .jsonl, or a folder of files with labels.csv.")
    metric: str = Field(description="Name of the accuracy metric.")
    api: str | None = Field(default=None, description="API to optimize; required if the service has several.")
    runner: str | None = Field(default=None, description="Runner to optimize; if not given, the one with most time.")
    prove_data: Path | None = Field(
        default=None, description="Separate data to prove accuracy on; if not given, half of `data`."
    )
    output: str | None = Field(default=None, description="What the answers are, if it cannot be detected.")
    max_drop: Tolerance = Field(
        default=Tolerance(0.01), description="Largest accepted upper confidence bound of the metric's drop."
    )
    min_accuracy: float | None = Field(default=None, description="Accuracy that the baseline itself must reach.")
    slo: Slo | None = Field(default=None, description="Limit on latency under the search's load.")
    baseline: str | None = Field(default=None, description="Target that stock BentoML serves as the baseline.")
    allow_slower_alone: bool = Field(
        default=False,
        description="Also release a candidate with higher latency for a lone client, or at half of the load.",
    )
    space: SpaceChoices = Field(default=ALL, description="Chosen values of knobs, in place of those of the search.")
    space_file: Path | None = Field(default=None, exclude=True, description="File that `space` was read from.")
    workers: tuple[int, ...] = Field(
        default=(), description="Worker counts to search; if not given, the server's current count."
    )
    connections: int = Field(default=32, ge=1, description="Closed-loop connections of the load.")
    trials: int = Field(default=10, ge=1, description="Trials on a real server.")
    blocks: int = Field(default=10, ge=5, description="Paired blocks of the proof.")
    block_s: float = Field(default=5.0, gt=0, description="Length of a block of the proof, in seconds.")
    retry: bool = Field(default=False, exclude=True, description="Try again what crashed twice on these versions.")
    seed: int = Field(default=0, description="Seed of every random choice.")


def command_of(spec: StudySpec) -> str:
    """Return the command that runs this study from the service's folder; a release stores it for its renewal."""
    options = [
        ("--data", spec.data),
        ("--prove-data", spec.prove_data),
        ("--metric", spec.metric),
        ("--output", spec.output),
        ("--api", spec.api),
        ("--runner", spec.runner),
        ("--max-drop", spec.max_drop),
        ("--min-accuracy", spec.min_accuracy),
        ("--slo", spec.slo),
        ("--baseline", spec.baseline),
        ("--space", spec.space_file),
        ("--workers", ",".join(map(str, spec.workers)) or None),
        ("--connections", spec.connections),
    ]
    flags = ["--allow-slower-alone"] if spec.allow_slower_alone else []
    words = [word for name, value in options if value is not None for word in (name, str(value))]
    return shlex.join(["bento-monitor", "optimize", spec.target, *words, *flags])
