"""What a release says: how a runner executes its model, how its API is batched, and the evidence for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..serving_config import Batching, Execution


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model; None stands for an axis whose length varies.

    `example` is a shape that was seen, with which a backend is warmed up; `dtype` is numpy's name.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    example: tuple[int, ...] = ()


Constant = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class OutputNode:
    """A part of a nested output: an array, a constant, or what holds other parts.

    `keys` are those of a mapping or the fields of a dataclass. `type_name` ("module:name") is that of a named tuple, a
    dataclass, or a mapping that is no plain dict.
    """

    kind: Literal["torch", "numpy", "constant", "tuple", "list", "mapping", "dataclass"]
    items: tuple[OutputNode, ...] = ()
    keys: tuple[str | int, ...] = ()
    type_name: str | None = None
    value: Constant = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> OutputNode:
        """Read what `dataclasses.asdict` gave."""
        items = tuple(cls.from_dict(item) for item in raw["items"])
        return cls(**{**raw, "items": items, "keys": tuple(raw["keys"])})


@dataclass(frozen=True, slots=True)
class OutputForm:
    """The structure that a model's outputs, in the order of their specs, are given back in.

    `type_name` ("module:name") says that it is a named tuple, or a mapping that is no plain dict; its class is taken
    from what the running model itself gives, and never imported. `arrays` "inputs" gives back torch tensors for torch
    tensors and numpy arrays for numpy arrays. A "nested" form is that of `root`, which holds more than arrays side by
    side. "methods" are an estimator's: each output is the answer of the method of its name, and a call of a method
    computes that one alone.
    """

    kind: Literal["array", "tuple", "list", "mapping", "nested", "methods"] = "array"
    arrays: Literal["torch", "numpy", "inputs"] = "torch"
    type_name: str | None = None
    root: OutputNode | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> OutputForm:
        """Read what `dataclasses.asdict` gave; forms without `root` are of before outputs could be nested."""
        root = raw.get("root")
        return cls(**{**raw, "root": None if root is None else OutputNode.from_dict(root)})


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable record of what is served. Its folder holds `release.json` and, if named, `artifact_file`.

    It takes the place of `runner`'s model in requests to `apis`, whose batching is then `batching`; other APIs that
    share the runner go on with the service's own model. `model_fingerprint` is that of the model it was made from,
    which alone it may stand for. `artifact_file` is relative to the release's folder, and `artifact_sha256` its hash,
    checked whenever it is loaded; both are None where the user's own module is run.
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
        """The command that makes a release like this one of today's model."""
        command = self.evidence.get("command")
        if isinstance(command, str) and command.isprintable():
            return command
        apis = "".join(f" --api {api}" for api in self.apis)
        return f"bento-monitor optimize MODULE:{self.service}{apis} --data DATA --metric METRIC"

    def to_json(self) -> str:
        """The record as indented JSON, keys sorted."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"
