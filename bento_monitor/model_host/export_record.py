"""How an ONNX file was made of a module: kept in the file itself, so that a cached file still has its evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

_METADATA_KEY = "bento_monitor.export"

ExportMethod = Literal["traced", "scripted", "dynamo"]
ControlFlow = Literal["independent", "kept", "data-dependent"]


@dataclass(frozen=True, slots=True)
class AxisLimit:
    """A length at which the module's code may branch: the most that one branch takes on an axis of an input."""

    input: str
    axis: int
    length: int


@dataclass(frozen=True, slots=True)
class ExportEvidence:
    """What is known of an export.

    `control_flow` says whether the module's path depends on the values that it is given: "independent", "kept" (the
    graph holds the branches), or "data-dependent" (traced, so that the graph holds one path only). `warnings` are
    those of the tracer, each with its file and line; `note` says in words what the other fields do not.
    """

    method: ExportMethod
    control_flow: ControlFlow
    warnings: tuple[str, ...] = ()
    limits: tuple[AxisLimit, ...] = ()
    note: str = ""

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ExportEvidence:
        """Read what `dataclasses.asdict` gave."""
        limits = tuple(AxisLimit(**limit) for limit in raw["limits"])
        return cls(raw["method"], raw["control_flow"], tuple(raw["warnings"]), limits, raw["note"])


def write_evidence(path: Path, evidence: ExportEvidence) -> None:
    """Put the evidence into the metadata of an ONNX file.

    Serialised messages of protobuf that follow one another are read as one message, so the file is not parsed.
    """
    import onnx

    entry = onnx.StringStringEntryProto(key=_METADATA_KEY, value=json.dumps(asdict(evidence), sort_keys=True))
    with path.open("ab") as file:
        file.write(onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def read_evidence(session: Any) -> ExportEvidence | None:
    """The evidence in the file of an onnxruntime session; None for a file that was not exported here."""
    text = session.get_modelmeta().custom_metadata_map.get(_METADATA_KEY)
    return None if text is None else ExportEvidence.from_dict(json.loads(text))
