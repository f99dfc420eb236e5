"""A candidate: the complete serving configuration of a model, in one frozen record named by its hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from bento_monitor.serving_config import Batching, Execution


@dataclass(frozen=True, slots=True)
class Candidate:
    """How a model is executed, batched and spread over workers.

    Accuracy depends only on the artifact: `execution.backend` and `execution.precision`. Speed depends on every field.
    """

    execution: Execution
    batching: Batching
    workers: int

    @property
    def name(self) -> str:
        """The first twelve hexadecimal digits of the hash of all fields."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def describe(self) -> str:
        """Return the candidate as one readable line."""
        batching = f"up to {self.batching.max_batch_size} per batch, window {self.batching.window_ms:g} ms"
        return f"{describe_execution(self.execution)}; {batching}"


def describe_execution(run: Execution) -> str:
    """Return the execution as one readable line."""
    rows = "whole" if run.sub_batch_size is None else f"in sub-batches of {run.sub_batch_size}"
    if run.mask_input is not None and run.sub_batch_size is not None:
        rows = f"sorted, {rows}"
    if run.streams > 1:
        rows += f", {run.streams} at once"
    spin = ", spinning" if run.allow_spinning else ""
    graphs = ", CUDA graphs" if run.cuda_graphs else ""
    return f"{run.backend} {run.precision}, {run.intra_op_threads} thread(s){spin}{graphs}, batches run {rows}"
