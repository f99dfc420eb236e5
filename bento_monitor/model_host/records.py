"""What the parent asks of a model host and what it gets back; each record is sent as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..backends.own import ModelKind
from ..releases.record import Execution, OutputForm, TensorSpec

Exporter = Literal["torchscript", "dynamo", "copy"]
RaceLevel = Literal["model", "api"]


@dataclass(frozen=True, slots=True)
class ApiDescription:
    """One API; `input_name` is None where it does not take exactly one argument."""

    name: str
    route: str
    is_batchable: bool
    input_name: str | None
    max_batch_size: int


@dataclass(frozen=True, slots=True)
class RunnerDescription:
    """One runner; `kind` says what it wraps."""

    name: str
    kind: ModelKind
    precision: str


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    """A service as it is imported: its APIs, the runners that an instance makes, and its number of workers."""

    service: str
    apis: tuple[ApiDescription, ...]
    runners: tuple[RunnerDescription, ...]
    workers: int

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ServiceDescription:
        """Read what `dataclasses.asdict` gave."""
        apis = tuple(ApiDescription(**api) for api in raw["apis"])
        runners = tuple(RunnerDescription(**runner) for runner in raw["runners"])
        return cls(raw["service"], apis, runners, raw["workers"])


@dataclass(frozen=True, slots=True)
class SampleSource:
    """Where the samples are: an array in a `.npz` file, read without pickle."""

    path: Path
    array: str


@dataclass(frozen=True, slots=True)
class ModelInterface:
    """What an API's calls of its model look like.

    `mask_input` names the input `(batch, length)` of ones then zeros if there is one and a batch can be run in
    sub-batches by it. `fingerprint` is the model's, by which a release is bound to it.
    """

    runner: str
    kind: ModelKind
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    output_form: OutputForm
    mask_input: str | None
    fingerprint: str

    @property
    def source(self) -> str:
        """What an artifact is made from, by a hash: the model, and the axes of its inputs that vary."""
        axes = repr([(spec.name, spec.dtype, spec.shape) for spec in self.inputs])
        return hashlib.sha256(f"{self.fingerprint} {axes}".encode()).hexdigest()

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ModelInterface:
        """Read what `dataclasses.asdict` gave."""
        specs = {
            key: tuple(TensorSpec(t["name"], t["dtype"], tuple(t["shape"]), tuple(t["example"])) for t in raw[key])
            for key in ("inputs", "outputs")
        }
        return cls(**{**raw, **specs, "output_form": OutputForm(**raw["output_form"])})


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to run the model; `execution` None is the user's own, as it is. `artifact` is the file it needs."""

    execution: Execution | None = None
    artifact: Path | None = None
    artifact_sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON can hold it."""
        return asdict(self) | {"artifact": None if self.artifact is None else str(self.artifact.resolve())}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Contender:
        """Read what `to_dict` gave."""
        return cls(
            None if raw["execution"] is None else Execution(**raw["execution"]),
            None if raw["artifact"] is None else Path(raw["artifact"]),
            raw["artifact_sha256"],
        )


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph's outputs are from the module's on captured calls, and how large the module's are."""

    max_abs_difference: float
    max_abs_value: float


@dataclass(frozen=True, slots=True)
class AnswersReport:
    """How long an API's function took over all samples, and the shape of the answers that were written."""

    seconds: float
    shape: tuple[int, ...]
