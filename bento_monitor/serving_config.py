"""How a model is executed and how an API's requests are batched: what a search varies and a release fixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Backend = Literal["torch", "onnxruntime"]
Precision = Literal["fp32", "bf16", "int8-dynamic-per-channel", "int8-dynamic-per-tensor"]


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
