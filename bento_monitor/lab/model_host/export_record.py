"""Evidence of how a module was exported to an ONNX file, stored in the file so that cached files have it too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ...releases.release_record import TensorSpec

_METADATA_KEY = "bento_monitor.export"

ExportMethod = Literal["traced", "scripted", "dynamo"]
ControlFlow = Literal["independent", "kept", "data-dependent"]


@dataclass(frozen=True, slots=True)
class AxisLimit:
    """A length at which the module's code may branch: the maximum of one branch on an axis of an input."""

    input: str
    axis: int
    length: int


@dataclass(frozen=True, slots=True)
class FixedAxis:
    """An axis of an input that had one length in all samples, although the model accepts others."""

    input: str
    axis: int
    length: int


@dataclass(frozen=True, slots=True)
class ExportEvidence:
    """Evidence of an export.

    `control_flow` says whether the module's path depends on its input values: "independent", "kept" (the graph holds
    the branches), or "data-dependent" (traced, so that the graph holds one path only). `warnings` are those of the
    tracer, each with its file and line; `note` adds facts in words. `fixed_axes` are the axes that have the samples'
    length in the graph: the own model runs calls of other lengths.
    """

    method: ExportMethod
    control_flow: ControlFlow
    warnings: tuple[str, ...] = ()
    limits: tuple[AxisLimit, ...] = ()
    note: str = ""
    fixed_axes: tuple[FixedAxis, ...] = ()

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ExportEvidence:
        """Read a record of `dataclasses.asdict`; old files have records without `fixed_axes`."""
        limits = tuple(AxisLimit(**limit) for limit in raw["limits"])
        fixed_axes = tuple(FixedAxis(**axis) for axis in raw.get("fixed_axes", ()))
        return cls(raw["method"], raw["control_flow"], tuple(raw["warnings"]), limits, raw["note"], fixed_axes)


def with_fixed_axes(inputs: Sequence[TensorSpec], fixed_axes: Sequence[FixedAxis]) -> tuple[TensorSpec, ...]:
    """Return the specs of a model's inputs with the lengths of the fixed axes."""
    lengths = {(fixed.input, fixed.axis): fixed.length for fixed in fixed_axes}

    def fix(name: str, shape: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(lengths.get((name, axis), length) for axis, length in enumerate(shape))

    return tuple(
        replace(spec, shape=fix(spec.name, spec.shape), example=fix(spec.name, spec.example)) for spec in inputs
    )


def write_evidence(path: Path, evidence: ExportEvidence) -> None:
    """Add the evidence to the metadata of an ONNX file.

    protobuf reads concatenated serialized messages as one message, so the file is not parsed.
    """
    import onnx

    entry = onnx.StringStringEntryProto(key=_METADATA_KEY, value=json.dumps(asdict(evidence), sort_keys=True))
    with path.open("ab") as file:
        file.write(onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def read_evidence(session: Any) -> ExportEvidence | None:
    """Return the evidence in the file of an onnxruntime session; None for a file that was not exported here."""
    text = session.get_modelmeta().custom_metadata_map.get(_METADATA_KEY)
    return None if text is None else ExportEvidence.from_dict(json.loads(text))
