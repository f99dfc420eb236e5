"""What a release says: how a runner executes its model, how its API is batched, and the evidence for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..errors import ReleaseError

Backend = Literal["torch", "onnxruntime"]
Precision = Literal["fp32", "bf16", "int8-dynamic-per-channel", "int8-dynamic-per-tensor"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model; None stands for an axis whose length varies.

    `example` is a shape that was seen, with which a backend is warmed up; `dtype` is numpy's name.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    example: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputForm:
    """The structure that a model's outputs, in the order of their specs, are given back in.

    `type_name` ("module:name") is the class of a named tuple or of a mapping that is no plain dict. `arrays` "inputs"
    gives back torch tensors for torch tensors and numpy arrays for numpy arrays.
    """

    kind: Literal["array", "tuple", "list", "mapping"] = "array"
    arrays: Literal["torch", "numpy", "inputs"] = "torch"
    type_name: str | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """How a runner executes its model.

    `sub_batch_size` None runs a batch whole. A number sorts its rows by length, runs them in sub-batches of that many
    rows, each trimmed to its own longest row, and puts the answers back in order; `mask_input` names the input
    (`(batch, length)`, ones then zeros) that gives the lengths. `streams` of them run at once, each on
    `intra_op_threads` threads of its own.
    """

    backend: Backend
    precision: Precision
    intra_op_threads: int
    allow_spinning: bool = False
    sub_batch_size: int | None = None
    mask_input: str | None = None
    streams: int = 1


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests to a batchable API are gathered; it can be changed while the service runs."""

    max_batch_size: int
    window_ms: float


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable record of what is served. Its folder holds `release.json` and, if named, `artifact_file`.

    `runner` and `api` name what the release is for. `artifact_file` is relative to the release's folder, and
    `artifact_sha256` its hash, checked whenever it is loaded; both are None where the user's own module is run.
    """

    name: str
    service: str
    api: str
    runner: str
    execution: Execution
    batching: Batching | None
    workers: int | None
    artifact_file: str | None
    artifact_sha256: str | None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    output_form: OutputForm = OutputForm()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The record as indented JSON, keys sorted."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Release:
        """Read what `to_json` wrote.

        Raises:
            ReleaseError: the text is no such record.
        """
        try:
            raw = json.loads(text)
            raw["execution"] = Execution(**raw["execution"])
            raw["batching"] = Batching(**raw["batching"]) if raw["batching"] is not None else None
            for key in ("inputs", "outputs"):
                raw[key] = tuple(
                    TensorSpec(t["name"], t["dtype"], tuple(t["shape"]), tuple(t["example"])) for t in raw[key]
                )
            raw["output_form"] = OutputForm(**raw["output_form"])
            return cls(**raw)
        except (ValueError, KeyError, TypeError) as error:
            raise ReleaseError(f"This is not a release record: {error!r}.") from error
