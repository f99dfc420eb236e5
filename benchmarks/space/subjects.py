"""The models whose space is searched: the workloads, and three that other tools were measured on by hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from example_run import run_environment
from example_spec import example_files
from workloads.releases import Workload, all_workloads

from optimizers.accuracy.tolerance import Tolerance
from optimizers.study_spec import StudySpec

WILD = Path(__file__).resolve().parents[1] / "wild"
BATCH = 32
# Times torch eager in float32, on a CPU with AMX, AVX512-VNNI and AVX512-BF16; on others, the brute force is the goal.
EAGER_GOALS = {"cnn": 4.0, "mlp": 5.1, "distilbert": 3.3}
_WORKLOADS = {
    "semantic_search-embed": "semantic_search",
    "digits-classify": "digits",
    "loan_approval-decide_by_network": "loans_mlp",
    "loan_approval-decide": "loans_trees",
    "machine_failure-watch_pump": "machine_failure",
    "court_transcription-transcribe": "whisper_encoder",
}


@dataclass(frozen=True, slots=True)
class SpaceSubject:
    """A study, and the environment of its service."""

    spec: StudySpec
    environment: Mapping[str, str]


def subjects() -> dict[str, Callable[[Path], SpaceSubject]]:
    """Return, by name, a function that prepares the subject in a folder."""
    workloads = {_WORKLOADS[workload.key]: workload for workload in all_workloads()}
    found = {name: _of_workload(workload) for name, workload in workloads.items()}
    found["cnn"] = _of_workload(workloads["digits"], connections=BATCH)
    found["mlp"] = _of_situation("tabular_mlp")
    found["distilbert"] = _of_situation("distilbert_like")
    return found


def _of_workload(workload: Workload, connections: int | None = None) -> Callable[[Path], SpaceSubject]:
    def prepare(folder: Path) -> SpaceSubject:
        example = workload.example
        files = example_files(example)
        spec = StudySpec(
            target=example.service,
            working_dir=example.folder,
            data=files / example.data,
            metric=example.metric,
            api=example.api,
            runner=example.option("--runner"),
            max_drop=Tolerance(example.max_drop),
            output=example.option("--output"),
            connections=connections or int(example.option("--connections") or BATCH),
        )
        return SpaceSubject(spec, {**os.environ, **run_environment(files, folder)})

    return prepare


def _of_situation(name: str) -> Callable[[Path], SpaceSubject]:
    def prepare(folder: Path) -> SpaceSubject:
        from sequences import SITUATIONS as SEQUENCES
        from tabular import SITUATIONS as TABULAR

        situation = next(each for each in (*TABULAR, *SEQUENCES) if each.name == name)
        data = situation.write(folder / "evaluation", situation.samples, 1)
        spec = StudySpec(
            target=situation.target,
            working_dir=WILD,
            data=data,
            metric=situation.metric,
            max_drop=Tolerance(float(situation.max_drop)),
            connections=BATCH,
        )
        return SpaceSubject(spec, {**os.environ, "BENTO_MONITOR_HOME": str(folder / "monitor")})

    return prepare
