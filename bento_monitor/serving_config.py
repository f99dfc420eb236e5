"""How a model is executed and how requests are batched: a study varies these values, a release fixes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

BackendName = Literal["torch", "onnxruntime"]
Precision = Literal["fp32", "bf16", "int8-dynamic-per-channel", "int8-dynamic-per-tensor"]


@dataclass(frozen=True, slots=True)
class Execution:
    """How a runner executes its model.

    With `sub_batch_size` None, a batch runs whole. With a number, its rows are sorted by length and run in sub-batches
    of that many rows, each trimmed to its own longest row; the answers are put back in order. `mask_input` names the
    input (`(batch, length)`, ones then zeros) that gives the lengths. `streams` sub-batches run at once, each on
    `intra_op_threads` threads of its own.
    """

    backend: BackendName
    precision: Precision
    intra_op_threads: int
    allow_spinning: bool = False
    sub_batch_size: int | None = None
    mask_input: str | None = None
    streams: int = 1


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests to a batchable API are batched. The values can be changed while the service runs."""

    max_batch_size: int
    window_ms: float


def runs_file(backend: BackendName) -> bool:
    """Whether a backend runs a model file; otherwise it runs the user's own module."""
    match backend:
        case "torch":
            return False
        case "onnxruntime":
            return True
        case _:
            assert_never(backend)
