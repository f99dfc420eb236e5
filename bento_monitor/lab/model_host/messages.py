"""Arguments and results of a model host's operations; each record is sent as JSON."""

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

Exporter = Literal["torchscript", "fused", "scripted", "dynamo", "copy", "converted"]


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """A parameter of an API, as its schema describes it.

    `type` is the schema's type, such as "tensor", "array", "string", "dataframe" or "file", and "" if it has none;
    `columns` are those of a data frame. `is_file` is true if the parameter is a field of a multipart form.
    """

    name: str
    type: str
    is_file: bool
    is_required: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiDescription:
    """One API; `takes_whole_body` is true if the body is the value of its one parameter."""

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
    """One runner; `kind` says what it wraps.

    Of a torch module, `device` is the type of the device that holds its weights, `has_2d_convolutions` is true if
    weights have four axes, and `layers` are the class names of its parts.
    """

    name: str
    kind: ModelKind
    precision: str
    device: str = "cpu"
    has_2d_convolutions: bool = False
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    """An imported service: its APIs, the runners that an instance creates, and its number of workers."""

    service: str
    apis: tuple[ApiDescription, ...]
    runners: tuple[RunnerDescription, ...]
    workers: int

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ServiceDescription:
        """Read what `dataclasses.asdict` gave."""
        apis = tuple(map(ApiDescription.from_dict, raw["apis"]))
        runners = tuple(RunnerDescription(**{**each, "layers": tuple(each["layers"])}) for each in raw["runners"])
        return cls(raw["service"], apis, runners, raw["workers"])


@dataclass(frozen=True, slots=True)
class RequestSource:
    """The bodies of requests, one per sample: a file that `write_bodies` wrote, and their content type."""

    path: Path
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class ModelInterface:
    """The interface between an API and its model.

    `mask_input` names the input that gives the lengths of rows and allows sub-batches, if there is one: a mask
    `(batch, length)` of ones then zeros, or the lengths `(batch,)`.
    `fingerprint` is the model's; it binds a release to the model. `probed_axes` vary in no sample, only in additional
    calls. `largest_batch` is the number of rows that an ONNX file takes if the API gives it larger batches: more rows
    would only wait for one another. `device` is the type of the torch device that holds the model's weights, and
    `has_2d_convolutions` is true if weights of a torch module have four axes. `without_graphs` says why the model
    cannot run by CUDA graphs; None if it can. `note` names the chosen runner if the API calls several.
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
    device: str = "cpu"
    has_2d_convolutions: bool = False
    without_graphs: str | None = "not tried"
    note: str = ""

    @property
    def has_separate_rows(self) -> bool:
        """Whether the first axis of every input and output varies: each row is a sample, as far as shapes tell."""
        return all(spec.shape[:1] == (None,) for spec in (*self.inputs, *self.outputs))

    @property
    def source(self) -> str:
        """Hash of the source of an artifact: the model, and the axes of its inputs that vary."""
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
    """One way to run the model; without `execution`, the user's own model, unchanged.

    `artifact` is the file that it needs, and `fixed_axes` the axes of which the file takes only one length.
    """

    execution: Execution | None = None
    artifact: Path | None = None
    artifact_sha256: str | None = None
    fixed_axes: tuple[FixedAxis, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return asdict(self) | {"artifact": None if self.artifact is None else str(self.artifact.resolve())}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Contender:
        """Read a record of `to_dict`."""
        return cls(
            None if raw["execution"] is None else Execution(**raw["execution"]),
            None if raw["artifact"] is None else Path(raw["artifact"]),
            raw["artifact_sha256"],
            tuple(FixedAxis(**axis) for axis in raw["fixed_axes"]),
        )


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest difference of a graph's outputs from the model's on captured calls, and the model's largest output.

    `perturbed_calls` is the number of perturbed inputs that were compared too. `disagreement` says in words how the
    graph differs from the model, None if it does not; `export` is None for a file that was not exported.
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
