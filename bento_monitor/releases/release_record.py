"""The record of a release: how a runner executes its model, the batching of its APIs, and the evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..serving_config import Batching, Execution


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model; None in `shape` means an axis of varying length.

    `example` is an observed shape, used for the warm-up of a backend; `dtype` is numpy's name of the element type.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    example: tuple[int, ...] = ()


Constant = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class OutputNode:
    """A part of a nested output: an array, a constant, or a container of other parts.

    `keys` are the keys of a mapping or the field names of a dataclass. `type_name` ("module:name") is the class of a
    named tuple, a dataclass, or a mapping that is not a plain dict.
    """

    kind: Literal["torch", "numpy", "constant", "tuple", "list", "mapping", "dataclass"]
    items: tuple[OutputNode, ...] = ()
    keys: tuple[str | int, ...] = ()
    type_name: str | None = None
    value: Constant = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> OutputNode:
        """Read a node from the result of `dataclasses.asdict`."""
        items = tuple(cls.from_dict(item) for item in raw["items"])
        return cls(**{**raw, "items": items, "keys": tuple(raw["keys"])})


@dataclass(frozen=True, slots=True)
class OutputForm:
    """The structure in which a model's outputs, in the order of their specs, are returned.

    `type_name` ("module:name") is the class of a named tuple, or of a mapping that is not a plain dict; the class is
    taken from an output of the running model, and never imported. With `arrays` "inputs", the outputs are torch tensors
    for torch inputs and numpy arrays for numpy inputs. The structure of a "nested" form is `root`, for outputs that are
    more than a flat collection of arrays. The form "methods" is an estimator's: each output is the result of the method
    of its name, and a call of a method computes only that output.
    """

    kind: Literal["array", "tuple", "list", "mapping", "nested", "methods"] = "array"
    arrays: Literal["torch", "numpy", "inputs"] = "torch"
    type_name: str | None = None
    root: OutputNode | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> OutputForm:
        """Read a form from the result of `dataclasses.asdict`; forms of earlier versions have no `root`."""
        root = raw.get("root")
        return cls(**{**raw, "root": None if root is None else OutputNode.from_dict(root)})


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable record of a release. Its folder contains `release.json` and, if named, `artifact_file`.

    A release replaces the model of `runner` in requests to `apis`, and sets their batching to `batching`; other APIs
    that share the runner keep the service's own model. `model_fingerprint` identifies the model that the release was
    made from, the only model that it may replace. `artifact_file` is relative to the release's folder, and
    `artifact_sha256` is its hash, checked at every load; both are None if the release runs the user's own module.
    """

    name: str
    service: str
    apis: tuple[str, ...]
    runner: str
    execution: Execution
    batching: Batching | None
    workers: int | None
    artifact_file: str | None
    artifact_sha256: str | None
    model_fingerprint: str | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    output_form: OutputForm = OutputForm()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def renewal(self) -> str:
        """The command that makes a new release like this one from the current model."""
        command = self.evidence.get("command")
        if isinstance(command, str) and command.isprintable():
            return command
        apis = "".join(f" --api {api}" for api in self.apis)
        return f"bento-monitor optimize MODULE:{self.service}{apis} --data DATA --metric METRIC"

    def to_json(self) -> str:
        """Return the record as indented JSON with sorted keys."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"
