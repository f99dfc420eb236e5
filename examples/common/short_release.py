"""One release of an example without a search: its model as an ONNX file, whose accuracy is checked."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.releases.release_store import save_release, store_name
from bento_monitor.serving_config import Batching, Execution
from optimizers.accuracy.compare import AccuracyResult
from optimizers.accuracy.tolerance import Tolerance
from optimizers.candidate import Candidate
from optimizers.releasing import make_release
from optimizers.stages.subject import find_subject
from optimizers.stages.workbench import Workbench
from optimizers.study_folder import StudyFolder
from optimizers.study_spec import StudySpec

from example_spec import Example, ExampleError

# A few hundred samples prove no small drop: the graph computes with the model's own weights, so none is expected.
_MAX_DROP = Tolerance(0.5)
_EXECUTION = Execution("onnxruntime", "fp32", intra_op_threads=2)


@dataclass(frozen=True, slots=True)
class ShortRelease:
    """A stored release, the accuracy of its artifact, and the file with its answers to samples in batches of one."""

    name: str
    accuracy: AccuracyResult
    own_answers: Path


def make_short_release(example: Example, data: Path, folder: Path) -> ShortRelease:
    """Build and store a release; `folder` gets the artifact and the answers.

    Raises:
        ExampleError: the artifact is less accurate than the model.
        BentoMonitorError: the artifact cannot be built.
    """
    spec = StudySpec(
        target=example.service,
        working_dir=example.folder,
        data=data,
        metric=example.metric,
        api=example.api,
        runner=example.option("--runner"),
        max_drop=_MAX_DROP,
        output=example.option("--output"),
    )
    with (
        tempfile.TemporaryDirectory(prefix="bento-monitor-") as requests,
        ModelHost(spec.target, spec.working_dir) as host,
    ):
        subject = find_subject(host, spec, Path(requests))
        bench = Workbench(host, spec, subject, StudyFolder(folder))
        accuracy = bench.yardstick().compare(bench.answers_in(_EXECUTION), subject.proving, alpha=0.05, seed=spec.seed)
        if accuracy.drop > example.max_drop:
            raise ExampleError(f"The artifact's {example.metric} is {accuracy.drop:.4f} worse than the model's.")
        bench.answers_alone("short", bench.contender(_EXECUTION))
        artifact = bench.artifact(_EXECUTION)
        candidate = Candidate(_EXECUTION, Batching(subject.subject.api.max_batch_size, 0.0), 1)
        version = f"short-{example.api}-{candidate.name}".replace("_", "-")
        name = f"{store_name(subject.subject.service)}:{version}"
        save_release(
            make_release(name, subject.subject, candidate, artifact, {"metric": example.metric}), artifact.path
        )
    return ShortRelease(name, accuracy, folder / "answers" / "short-alone.npz")
