"""A candidate: everything about how a model is served, in one frozen record whose hash names it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from bento_monitor.serving_config import Batching, Execution


@dataclass(frozen=True, slots=True)
class Candidate:
    """How a model is executed, batched and spread over workers.

    The artifact half is `execution.backend` and `execution.precision`: accuracy belongs to it. Speed belongs to all.
    """

    execution: Execution
    batching: Batching
    workers: int

    @property
    def name(self) -> str:
        """Twelve hexadecimal digits of the hash of all fields."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def describe(self) -> str:
        """One line for people."""
        batching = f"up to {self.batching.max_batch_size} a batch, window {self.batching.window_ms:g} ms"
        return f"{describe_execution(self.execution)}; {batching}"


def describe_execution(run: Execution) -> str:
    """How batches are executed, in one line for people."""
    rows = "whole" if run.sub_batch_size is None else f"sorted, in parts of {run.sub_batch_size}"
    if run.streams > 1:
        rows += f", {run.streams} parts at once"
    spin = ", spinning" if run.allow_spinning else ""
    return f"{run.backend} {run.precision}, {run.intra_op_threads} thread(s){spin}, batches run {rows}"
