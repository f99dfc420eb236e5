"""State shared by all stages: the model host, the artifacts, and the answers computed so far."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bento_monitor.lab.model_host.answer_values import Answers, read_answers
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import Contender
from bento_monitor.machine import sums_int8_exactly
from bento_monitor.resilience.atomic_files import write_atomic
from bento_monitor.serving_config import BackendName, Execution, Precision

from ..accuracy.sameness import AnswerCheck
from ..artifacts.artifact_spec import ArtifactSpec
from ..artifacts.build import Artifact, build_artifact, quantize_artifact
from ..artifacts.cache import ArtifactCache
from ..errors import ArtifactError
from ..study_folder import StudyFolder
from ..study_spec import StudySpec
from .subject import StudySubject
from .yardstick import Yardstick, make_yardstick

Kind = tuple[BackendName, Precision]
_ALONE_SAMPLES = 400
_FEW_ALONE_SAMPLES = 50
_ALONE_S = 30.0  # about what these samples may take; a model that is slower gets fewer
_RACE_ROUNDS = 2
_RACE_BLOCK_S = 0.3


class Workbench:
    """The model host, artifacts and answers of one study; answers are stored in the study's folder."""

    def __init__(self, host: ModelHost, spec: StudySpec, subject: StudySubject, folder: StudyFolder) -> None:
        self.spec = spec
        self.subject = subject
        self.folder = folder
        self._host = host
        self._cache = ArtifactCache(folder.path / "artifacts")
        self._artifacts: dict[Kind, Artifact | ArtifactError] = {}
        self._baseline: Answers | None = None
        self._alone_count = _ALONE_SAMPLES
        self._alone: dict[Contender, Path] = {}
        self._yardstick: Yardstick | None = None
        self._answers_in: dict[Kind, Answers] = {}
        self._checks: dict[Kind | None, AnswerCheck] = {}

    def artifact(self, execution: Execution) -> Artifact:
        """Return the artifact that an execution runs, built or found in the cache.

        Raises:
            ArtifactError: the artifact cannot be built, or differs from the model.
        """
        kind = (execution.backend, execution.precision)
        if kind not in self._artifacts:
            try:
                self._artifacts[kind] = self._build(ArtifactSpec(execution.backend, execution.precision))
            except ArtifactError as error:
                self._artifacts[kind] = error
        found = self._artifacts[kind]
        if isinstance(found, ArtifactError):
            raise found
        return found

    def _build(self, spec: ArtifactSpec) -> Artifact:
        if not spec.is_quantized:
            return build_artifact(self._host, self.subject.subject.interface, spec, self._cache)
        exported = self.artifact(Execution(spec.backend, "fp32", 1))
        return quantize_artifact(exported, replace(spec, reduces_range=not sums_int8_exactly()), self._cache)

    def contender(self, execution: Execution) -> Contender:
        """Return an execution with the file that it needs, in the form that the model host takes."""
        artifact = self.artifact(execution)
        return Contender(execution, artifact.path, artifact.sha256, artifact.fixed_axes)

    def baseline_answers(self) -> Answers:
        """Return the answers of the own model to all samples, in randomly composed batches."""
        if self._baseline is None:
            begun_s = time.monotonic()
            self._baseline = self.answers("baseline", Contender())
            seconds = (time.monotonic() - begun_s) / self.subject.count
            self._alone_count = self.folder.once("alone-samples", lambda: _alone_count(seconds))
        return self._baseline

    def yardstick(self) -> Yardstick:
        """Return how the accuracy of candidates is measured, derived from the baseline's answers.

        Raises:
            StudyInputError: nothing can be proved with the data and the tolerance; the message says what would be
                enough.
        """
        if self._yardstick is None:
            self._yardstick = make_yardstick(self.spec, self.subject, self.baseline_answers())
        return self._yardstick

    def check_of(self, execution: Execution | None) -> AnswerCheck:
        """Return the check of served answers of an execution's precision, or of the own model (None)."""
        kind = None if execution is None else (execution.backend, execution.precision)
        if kind not in self._checks:
            answers = self.baseline_answers() if execution is None else self.answers_in(execution)
            contender = Contender() if execution is None else self.contender(execution)
            alone = self.answers_alone("baseline" if kind is None else "-".join(kind), contender)
            self._checks[kind] = self.yardstick().check_of(answers, alone, self.alone_samples())
        return self._checks[kind]

    def answers(self, name: str, contender: Contender) -> Answers:
        """Return answers to all samples, in randomly composed batches as large as the load has connections."""
        return self._answers(name, contender, None, self.spec.connections, self.spec.seed)

    def answers_rebatched(self, name: str, contender: Contender) -> Answers:
        """Return answers to all samples, in other randomly composed batches than those of `answers`."""
        return self._answers(f"{name}-anew", contender, None, self.spec.connections, self.spec.seed + 1)

    def answers_in(self, execution: Execution) -> Answers:
        """Return answers to all samples in an execution's precision, computed once per precision.

        These answers are the reference for served answers. The baseline's answers are not: a precision may answer some
        samples differently and still be accurate enough overall.
        """
        kind = (execution.backend, execution.precision)
        if kind not in self._answers_in:
            self._answers_in[kind] = self.answers("-".join(kind), self.contender(execution))
        return self._answers_in[kind]

    def answers_in_company(self, name: str, contender: Contender) -> Answers:
        """Return answers to the samples of `alone_samples`, in randomly composed batches of these."""
        return self._answers(f"{name}-company", contender, self.alone_samples(), self.spec.connections, self.spec.seed)

    def answers_alone(self, name: str, contender: Contender) -> Answers:
        """Return answers to the samples of `alone_samples`, each in a batch of one; computed once per contender."""
        path = self._path(f"{name}-alone")
        same = self._alone.setdefault(contender, path)
        if same.is_file() and not path.is_file():
            write_atomic(path, same.read_bytes())
        return self._answers(f"{name}-alone", contender, self.alone_samples(), 1, self.spec.seed)

    def alone_samples(self) -> NDArray[np.int64]:
        """Return the samples that are also answered in batches of one.

        This is slow, so there are at most 400 random ones, and fewer, but 50, of a model that would take over 30 s.
        """
        self.baseline_answers()  # shows how slow the model is
        return np.random.default_rng(self.spec.seed).permutation(self.subject.choosing)[: self._alone_count]

    def speeds(self, entrants: Sequence[Execution]) -> dict[Execution, float]:
        """Return the samples per second of the API's function in process, from short interleaved blocks."""
        rounds = self._host.race(
            self.subject.subject.api.name,
            self.subject.requests,
            [self.contender(execution) for execution in entrants],
            batch_size=self.spec.connections,
            rounds=_RACE_ROUNDS,
            block_s=_RACE_BLOCK_S,
            seed=self.spec.seed,
        )
        return {
            execution: math.exp(sum(math.log(speed) for speed in speeds) / len(speeds))
            for execution, speeds in zip(entrants, rounds, strict=True)
        }

    def _answers(
        self, name: str, contender: Contender, rows: NDArray[np.int64] | None, batch_size: int, seed: int
    ) -> Answers:
        path = self._path(name)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            api = self.subject.subject.api.name
            source = self.subject.requests
            chosen = None if rows is None else rows.tolist()
            self._host.answers(api, source, contender, path, batch_size=batch_size, seed=seed, rows=chosen)
        return read_answers(path)

    def _path(self, name: str) -> Path:
        path: Path = self.folder.path / "answers" / f"{name}.npz"
        return path


def _alone_count(seconds_per_sample: float) -> int:
    return min(_ALONE_SAMPLES, max(_FEW_ALONE_SAMPLES, int(_ALONE_S / seconds_per_sample)))
