"""What all stages work with: the model host, the artifacts, and the answers that were computed so far."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bento_monitor.files import write_atomic
from bento_monitor.machine import sums_int8_exactly
from bento_monitor.model_host.client import ModelHost, read_answers
from bento_monitor.model_host.records import Contender, SampleSource
from bento_monitor.releases.record import Backend, Execution, Precision

from ..accuracy.compare import assess
from ..accuracy.outputs import OutputReading
from ..accuracy.reading import choose_reading
from ..artifacts.build import Artifact, build_artifact
from ..artifacts.cache import ArtifactCache
from ..artifacts.spec import ArtifactSpec
from ..errors import StudyInputError
from ..study_folder import StudyFolder
from ..study_spec import StudySpec
from .subject import StudySubject

Kind = tuple[Backend, Precision]
_ALONE_SAMPLES = 400
_RACE_ROUNDS = 2
_RACE_BLOCK_S = 0.3


class Workbench:
    """One study's host, artifacts and answers; answers are kept in the study's folder."""

    def __init__(self, host: ModelHost, spec: StudySpec, subject: StudySubject, folder: StudyFolder) -> None:
        self.spec = spec
        self.subject = subject
        self.folder = folder
        self._host = host
        self._cache = ArtifactCache(folder.path / "artifacts")
        self._artifacts: dict[Kind, Artifact] = {}
        self._baseline: NDArray[np.float32] | None = None
        self._reading: OutputReading | None = None
        self._answers_in: dict[Kind, NDArray[np.float32]] = {}

    def artifact(self, execution: Execution) -> Artifact:
        """What an execution runs, built or found in the cache.

        Raises:
            ArtifactError: it cannot be built, or is not the model.
        """
        kind = (execution.backend, execution.precision)
        if kind not in self._artifacts:
            spec = ArtifactSpec(execution.backend, execution.precision)
            spec = replace(spec, reduces_range=spec.is_quantised and not sums_int8_exactly())
            self._artifacts[kind] = build_artifact(self._host, self.subject.subject.interface, spec, self._cache)
        return self._artifacts[kind]

    def contender(self, execution: Execution) -> Contender:
        """An execution with the file that it needs, as the model host takes it."""
        artifact = self.artifact(execution)
        return Contender(execution, artifact.path, artifact.sha256)

    def baseline_answers(self) -> NDArray[np.float32]:
        """The user's own model on all samples, in random company.

        Raises:
            StudyInputError: it does not reach the accuracy that was asked of it.
        """
        if self._baseline is None:
            self._baseline = self.answers("baseline", Contender())
            labels, metric = self.subject.data.labels, self.subject.metric
            reached = assess(self._baseline, labels, metric, self.reading()).value
            least = self.spec.min_accuracy
            if least is not None and reached < least:
                raise StudyInputError(
                    f"The baseline itself reaches {self.spec.metric} = {reached:.4f}, less than --min-accuracy "
                    f"{least}: ask for less, or use other data."
                )
        return self._baseline

    def reading(self) -> OutputReading:
        """How answers are read, told from the baseline's."""
        if self._reading is None:
            self._reading = choose_reading(self.baseline_answers(), self.subject.data.labels, self.subject.metric)
        return self._reading

    def answers(self, name: str, contender: Contender) -> NDArray[np.float32]:
        """Answers to all samples, in random company of as many as the load has connections."""
        return self._answers(name, contender, self.subject.data.source, self.spec.connections)

    def answers_in(self, execution: Execution) -> NDArray[np.float32]:
        """Answers to all samples in an execution's precision, however its batches are run; computed once a precision.

        By them a served answer is known to be right: a precision may answer otherwise than the baseline, and still be
        accurate enough over all samples.
        """
        kind = (execution.backend, execution.precision)
        if kind not in self._answers_in:
            self._answers_in[kind] = self.answers("-".join(kind), self.contender(execution))
        return self._answers_in[kind]

    def answers_alone(self, name: str, contender: Contender) -> NDArray[np.float32]:
        """Answers to the samples of `alone_samples`, each in a batch of its own."""
        index = self.alone_samples()
        path = self.folder.path / "alone-samples.npz"
        if not path.is_file():
            buffer = io.BytesIO()
            arrays: dict[str, Any] = {self.subject.input_name: self.subject.data.samples[index], "index": index}
            np.savez(buffer, **arrays)
            write_atomic(path, buffer.getvalue())
        return self._answers(f"{name}-alone", contender, SampleSource(path, self.subject.input_name), 1)

    def alone_samples(self) -> NDArray[np.int64]:
        """Which samples are also answered alone: a random few hundred, since one by one is slow."""
        count = len(self.subject.data.samples)
        return np.random.default_rng(self.spec.seed).permutation(count)[:_ALONE_SAMPLES]

    def speeds(self, entrants: Sequence[Execution]) -> dict[Execution, float]:
        """Samples per second of the API's own function in process, from short interleaved blocks."""
        rounds = self._host.race(
            self.subject.subject.api.name,
            self.subject.data.source,
            [self.contender(execution) for execution in entrants],
            level="api",
            batch_size=self.spec.connections,
            rounds=_RACE_ROUNDS,
            block_s=_RACE_BLOCK_S,
            seed=self.spec.seed,
        )
        return {
            execution: math.exp(sum(math.log(speed) for speed in speeds) / len(speeds))
            for execution, speeds in zip(entrants, rounds, strict=True)
        }

    def _answers(self, name: str, contender: Contender, source: SampleSource, batch_size: int) -> NDArray[np.float32]:
        path: Path = self.folder.path / "answers" / f"{name}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            api = self.subject.subject.api.name
            self._host.answers(api, source, contender, path, batch_size=batch_size, seed=self.spec.seed)
        return read_answers(path)
