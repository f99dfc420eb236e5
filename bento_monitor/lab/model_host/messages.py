"""What the parent asks of a model host and what it gets back; each record is sent as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ...backends.own import ModelKind
from ...releases.release_record import OutputForm, TensorSpec
from ...serving_config import Execution
from .export_record import ExportEvidence, FixedAxis

Exporter = Literal["torchscript", "scripted", "dynamo", "copy", "converted"]


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """A parameter of an API: what its schema says of it.

    `type` is the word of the schema, such as "tensor", "array", "string", "dataframe" or "file", and "" where it says
    none; `columns` are those of a data frame. `is_file` where it comes as a field of a multipart form.
    """

    name: str
    type: str
    is_file: bool
    is_required: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiDescription:
    """One API; `takes_whole_body` where the body is the value of its one parameter."""

    name: str
    route: str
    is_batchable: bool
    max_batch_size: int
    parameters: tuple[ParameterDescription, ...]
    takes_whole_body: bool

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ApiDescription:
        """Read what `dataclasses.asdict` gave."""
        parameters = [ParameterDescription(**{**each, "columns": tuple(each["columns"])}) for each in raw["parameters"]]
        return cls(**{**raw, "parameters": tuple(parameters)})


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
        apis = tuple(map(ApiDescription.from_dict, raw["apis"]))
        runners = tuple(RunnerDescription(**runner) for runner in raw["runners"])
        return cls(raw["service"], apis, runners, raw["workers"])


@dataclass(frozen=True, slots=True)
class RequestSource:
    """The bodies of requests, one a sample: a file that `write_bodies` wrote, and the type of their content."""

    path: Path
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class ModelInterface:
    """What an API's calls of its model look like.

    `mask_input` names the input `(batch, length)` of ones then zeros if there is one and a batch can be run in
    sub-batches by it. `fingerprint` is the model's, by which a release is bound to it. `probed_axes` vary in no sample,
    but in the calls that were tried beside them. `largest_batch` is the number of rows that an ONNX file takes where
    the API hands it whole batches: more would only wait for one another. `note` says which runner was chosen where the
    API calls several.
    """

    runner: str
    kind: ModelKind
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    output_form: OutputForm
    mask_input: str | None
    fingerprint: str
    probed_axes: tuple[FixedAxis, ...] = ()
    largest_batch: int | None = None
    note: str = ""

    @property
    def source(self) -> str:
        """What an artifact is made from, by a hash: the model, and the axes of its inputs that vary."""
        axes = repr([*((spec.name, spec.dtype, spec.shape) for spec in self.inputs), *self.probed_axes])
        return hashlib.sha256(f"{self.fingerprint} {axes}".encode()).hexdigest()

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ModelInterface:
        """Read what `dataclasses.asdict` gave."""
        specs = {
            key: tuple(TensorSpec(t["name"], t["dtype"], tuple(t["shape"]), tuple(t["example"])) for t in raw[key])
            for key in ("inputs", "outputs")
        }
        probed_axes = tuple(FixedAxis(**axis) for axis in raw["probed_axes"])
        form = OutputForm.from_dict(raw["output_form"])
        return cls(**{**raw, **specs, "output_form": form, "probed_axes": probed_axes})


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to run the model; `execution` None is the user's own, as it is.

    `artifact` is the file it needs, and `fixed_axes` those that this takes in one length alone.
    """

    execution: Execution | None = None
    artifact: Path | None = None
    artifact_sha256: str | None = None
    fixed_axes: tuple[FixedAxis, ...] = ()

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
            tuple(FixedAxis(**axis) for axis in raw["fixed_axes"]),
        )


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph's outputs are from the model's on captured calls, and how large the model's are.

    `perturbed_calls` says on how many inputs unlike those it was compared too; `disagreement` in words where it is not
    the same model; `export` how it was made, None for a file that was not exported.
    """

    max_abs_difference: float
    max_abs_value: float
    perturbed_calls: int = 0
    disagreement: str | None = None
    export: ExportEvidence | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Parity:
        """Read what `dataclasses.asdict` gave."""
        export = raw["export"]
        return cls(**{**raw, "export": None if export is None else ExportEvidence.from_dict(export)})
