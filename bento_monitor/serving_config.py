"""How a model is executed and how requests are batched: a study varies these values, a release fixes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

BackendName = Literal["torch", "onnxruntime", "openvino"]
TorchPrecision = Literal[
    "fp32",
    "fp32-channels-last",
    "tf32",
    "bf16",
    "bf16-weights",
    "bf16-weights-channels-last",
    "fp16-weights",
    "fp16-weights-channels-last",
]
"""How torch runs a module: "bf16" by autocast; "-weights" with a copy whose weights are converted.

With "tf32", a GPU rounds the factors of float32 products to 10 bits.
"""
Precision = str
"""What a model computes in, with all that changes its numbers: a `TorchPrecision`, or how a file was made.

Such as "int8-static-minmax-per-channel-100", in lower case.
"""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a runner executes its model.

    With `sub_batch_size` None, a batch runs whole. With a number, it runs in sub-batches of that many rows, `streams`
    at once, each on `intra_op_threads` threads of its own. If `mask_input` names the input that gives the lengths of
    the rows, a mask `(batch, length)` of ones then zeros or the lengths `(batch,)`, these are sorted by length, each
    sub-batch is trimmed to its own longest row, and the answers are put back in order. With `cuda_graphs`, calls are
    captured by shape and replayed.
    """

    backend: BackendName
    precision: Precision
    intra_op_threads: int
    allow_spinning: bool = False
    sub_batch_size: int | None = None
    mask_input: str | None = None
    streams: int = 1
    cuda_graphs: bool = False


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
        case "onnxruntime" | "openvino":
            return True
        case _:
            assert_never(backend)
