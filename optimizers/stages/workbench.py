"""State shared by all stages: the model host, the artifacts, and the answers computed so far."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bento_monitor.extras import missing_distributions
from bento_monitor.lab.model_host.answer_values import Answers, read_answers
from bento_monitor.lab.model_host.client import WORK_TIMEOUT_S, ModelHost
from bento_monitor.lab.model_host.messages import Contender
from bento_monitor.lab.model_host.process import HostDeathError
from bento_monitor.machine import read_cpu_flags, sums_int8_exactly
from bento_monitor.resilience.atomic_files import write_atomic
from bento_monitor.serving_config import Execution

from ..accuracy.compare import AccuracyResult
from ..accuracy.sameness import AnswerCheck
from ..artifacts.artifact_spec import ArtifactSpec
from ..artifacts.build import Artifact, build_artifact, quantize_artifact
from ..artifacts.cache import ArtifactCache
from ..artifacts.graph import operator_types
from ..artifacts.sensitivity import Layers, rank_by_sensitivity
from ..candidate import describe_execution
from ..crash_log import CandidateFaultError, CrashLog
from ..errors import ArtifactError
from ..search_space.choices import chosen_families
from ..search_space.facts import SpaceFacts
from ..search_space.precisions import precision_space
from ..search_space.recipe import FamilySpace, Kind, Recipe, StaticInt8
from ..study_folder import StudyFolder, code_digest
from ..study_spec import StudySpec
from .subject import StudySubject
from .yardstick import Yardstick, make_yardstick

_SENSITIVITY_SAMPLES = 32
_FLOAT_GRAPH = Recipe("onnxruntime", "fp32")
_FUSED_GRAPH = Recipe("onnxruntime", "fp32-fused", is_fused=True)
Found = TypeVar("Found")
_ALONE_SAMPLES = 400
_FEW_ALONE_SAMPLES = 50
_FIRST_SHARE, _LEAST_FIRST, _MOST_FIRST = 0.2, 25, 200
_ALONE_S = 30.0  # about what these samples may take; a model that is slower gets fewer
RACE_ROUNDS = 2
_RACE_BLOCK_S = 0.3
_LEAST_TIMEOUT_S, _MOST_SLOWER = 120.0, 10.0


class Workbench:
    """The model host, artifacts and answers of one study; answers are stored in the study's folder."""

    def __init__(
        self,
        host: ModelHost,
        spec: StudySpec,
        subject: StudySubject,
        folder: StudyFolder,
        crashes: CrashLog | None = None,
    ) -> None:
        """Use the host; `crashes` remembers candidates that killed its process (default: nothing is remembered)."""
        self.spec = spec
        self.subject = subject
        self.folder = folder
        self._host = host
        self._crashes = crashes
        self._sample_s: float | None = None
        self._cache = ArtifactCache(folder.artifacts)
        self._code_sha256 = code_digest(spec.working_dir)
        self._artifacts: dict[Kind, Artifact | ArtifactError] = {}
        self._space: FamilySpace | None = None
        self._added: dict[Kind, Recipe] = {}
        self._layers: dict[tuple[bool, bool], Layers] = {}
        self._baseline: Answers | None = None
        self._alone_count = _ALONE_SAMPLES
        self._alone: dict[Contender, Path] = {}
        self._yardstick: Yardstick | None = None
        self._answers_in: dict[Kind, Answers] = {}
        self._checks: dict[Kind | None, AnswerCheck] = {}

    def space(self) -> FamilySpace:
        """Return the families of precisions worth building, and what is cut; the float32 graph is built first."""
        if self._space is None:
            interface = self.subject.subject.interface
            probed = {(fixed.input, fixed.axis) for fixed in interface.probed_axes}  # these vary in no sample
            facts = SpaceFacts(
                runner_kind=interface.kind,
                cpu_flags=frozenset(read_cpu_flags() or ()),
                device=interface.device,
                has_2d_convolutions=interface.has_2d_convolutions,
                has_mask=interface.mask_input is not None,
                has_varying_axes=any(
                    length is None and axis > 0 and (spec.name, axis) not in probed
                    for spec in interface.inputs
                    for axis, length in enumerate(spec.shape)
                ),
                choosing_samples=len(self.subject.choosing),
                graph_ops=self._graph_ops(),
                has_openvino=not missing_distributions("openvino"),
                without_graphs=interface.without_graphs,
            )
            self._space = chosen_families(precision_space(facts), self.spec.space)
        return self._space

    def _graph_ops(self) -> frozenset[str]:
        try:
            path = self._artifact(_FLOAT_GRAPH).path
        except ArtifactError:
            return frozenset()
        assert path is not None
        return operator_types(path)

    def artifact(self, execution: Execution) -> Artifact:
        """Return the artifact that an execution runs, built or found in the cache.

        Raises:
            ArtifactError: the artifact cannot be built, or differs from the model.
        """
        kind = (execution.backend, execution.precision)
        return self._artifact(self._added[kind] if kind in self._added else self.space().recipe(*kind))

    def add(self, recipe: Recipe) -> None:
        """Make a recipe known that is not in the space: a mixed one, found by trials."""
        self._added[recipe.kind] = recipe

    def sensitivity(self, recipe: Recipe) -> Layers:
        """Return the operators that lose most by int8 in the graph that a recipe quantizes, computed once.

        Raises:
            ArtifactError: the graph cannot be run.
        """
        is_static = isinstance(recipe.quantization, StaticInt8)
        key = is_static, recipe.is_fused
        if key not in self._layers:
            path = self._artifact(_float_graph_of(recipe)).path
            assert path is not None
            calibration = self._calibration(min(_SENSITIVITY_SAMPLES, len(self.subject.choosing)))
            self._layers[key] = rank_by_sensitivity(path, calibration, is_static=is_static)
        return self._layers[key]

    def _artifact(self, recipe: Recipe) -> Artifact:
        if recipe.kind not in self._artifacts:
            try:
                self._artifacts[recipe.kind] = self._build(recipe)
            except ArtifactError as error:
                self._artifacts[recipe.kind] = error
        found = self._artifacts[recipe.kind]
        if isinstance(found, ArtifactError):
            raise found
        return found

    def _build(self, recipe: Recipe) -> Artifact:
        spec = ArtifactSpec(
            recipe.backend,
            recipe.precision,
            exporter="fused" if recipe.is_fused else "torchscript",
            quantization=recipe.quantization,
            code_sha256=self._code_sha256,
        )
        graph = _float_graph_of(recipe)
        if recipe.quantization is None and (recipe == graph or not spec.needs_file):
            interface = self.subject.subject.interface
            try:
                return self._survived(
                    f"the build of {' '.join(recipe.kind)}",
                    lambda: build_artifact(self._host, interface, spec, self._cache),
                )
            except CandidateFaultError as error:
                raise ArtifactError(str(error)) from error
        exported = self._artifact(graph)
        if recipe.quantization is None:
            return replace(exported, spec=replace(exported.spec, backend=spec.backend, precision=spec.precision))
        static = recipe.quantization if isinstance(recipe.quantization, StaticInt8) else None
        calibration = None if static is None else self._calibration(static.samples)
        return quantize_artifact(
            exported, replace(spec, reduces_range=not sums_int8_exactly()), self._cache, calibration
        )

    def _calibration(self, samples: int) -> Path:
        """Return a file of model inputs for random samples of those to choose on; none to prove on are among them."""
        path: Path = self.folder.path / "calibration" / f"{samples}.npz"
        if not path.is_file():
            rows = self._some_to_choose_on(samples)
            self._host.model_inputs(self.subject.subject.api.name, self.subject.requests, path, rows=rows.tolist())
        return path

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
            # Stored, because a resumed study reads the answers from their file.
            self._sample_s = float(self.folder.once("sample-seconds", lambda: seconds))
            self._alone_count = _alone_count(self._sample_s)
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

    def ruin_in(self, execution: Execution) -> tuple[AccuracyResult, int] | None:
        """Answer a few samples in an execution's precision; return what they show of it, and how many, if it is ruined.

        Raises:
            StudyInputError: the answers do not fit the metric, or are not finite.
        """
        rows = self._some_to_choose_on(
            max(_LEAST_FIRST, min(_MOST_FIRST, int(_FIRST_SHARE * len(self.subject.choosing))))
        )
        name = f"{execution.backend}-{execution.precision}-first"
        answers = self._answers(name, self.contender(execution), rows, self.spec.connections, self.spec.seed)
        ruined = self.yardstick().proved_worse(answers, rows, seed=self.spec.seed)
        return None if ruined is None else (ruined, len(rows))

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
        return self._some_to_choose_on(self._alone_count)

    def _some_to_choose_on(self, count: int) -> NDArray[np.int64]:
        return np.random.default_rng(self.spec.seed).permutation(self.subject.choosing)[:count]

    def speeds(self, entrants: Sequence[Execution], rounds: int = RACE_ROUNDS) -> dict[Execution, float]:
        """Return the samples per second of the API's function in process, from short interleaved blocks."""
        contenders = [self.contender(execution) for execution in entrants]
        blocks_s = rounds * _RACE_BLOCK_S * len(entrants)
        names = "; ".join(describe_execution(execution) for execution in entrants)
        measured = self._survived(
            names,
            lambda: self._host.race(
                self.subject.subject.api.name,
                self.subject.requests,
                contenders,
                batch_size=self.spec.connections,
                rounds=rounds,
                block_s=_RACE_BLOCK_S,
                seed=self.spec.seed,
                timeout_s=self._timeout_s(2 * self.spec.connections * len(entrants)) + 2 * blocks_s,
            ),
        )
        return {
            execution: math.exp(sum(math.log(speed) for speed in speeds) / len(speeds))
            for execution, speeds in zip(entrants, measured, strict=True)
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
            count = self.subject.count if rows is None else len(rows)

            def compute(timeout_s: float) -> None:
                self._host.answers(
                    api, source, contender, path, batch_size=batch_size, seed=seed, rows=chosen, timeout_s=timeout_s
                )

            if contender.execution is None:
                compute(WORK_TIMEOUT_S)
            else:
                self._survived(describe_execution(contender.execution), lambda: compute(self._timeout_s(count)))
        return read_answers(path)

    def _timeout_s(self, samples: int) -> float:
        """Return after how long a candidate that answers samples counts as hung."""
        if self._sample_s is None:
            return WORK_TIMEOUT_S
        return min(WORK_TIMEOUT_S, _LEAST_TIMEOUT_S + _MOST_SLOWER * self._sample_s * samples)

    def _survived(self, candidate: str, run: Callable[[], Found]) -> Found:
        """Run a candidate in the host; if that kills the host's process, start another one.

        Raises:
            CandidateFaultError: it killed the process, or has done so before.
        """
        if self._crashes is not None:
            self._crashes.check(candidate)
        try:
            return run()
        except HostDeathError as error:
            self._host.restart()
            if self._crashes is not None:
                self._crashes.add(candidate, error.fault, str(error))
            raise CandidateFaultError(str(error), error.fault) from error

    def _path(self, name: str) -> Path:
        path: Path = self.folder.path / "answers" / f"{name}.npz"
        return path


def _float_graph_of(recipe: Recipe) -> Recipe:
    return _FUSED_GRAPH if recipe.is_fused else _FLOAT_GRAPH


def _alone_count(seconds_per_sample: float) -> int:
    return min(_ALONE_SAMPLES, max(_FEW_ALONE_SAMPLES, int(_ALONE_S / seconds_per_sample)))
