"""A stand-in for a GPU's graphs on a CPU: it computes a captured call anew, from and into the memory of its capture.

As on a GPU, a call that reads a value of a tensor in its midst cannot be captured, and a replay overwrites the outputs
of the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bento_monitor.backends.cuda_graphs import Captured


class _NoReading(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        return func(*args, **(kwargs or {}))


class Replaying:
    """A capturer of calls on the CPU."""

    def __init__(self, free_bytes: int = 60 * 2**30) -> None:
        self.device = torch.device("cpu")
        self.free_bytes = free_bytes
        self.captures = self.replays = 0

    def memory(self) -> tuple[int, int]:
        return self.free_bytes, 80 * 2**30

    def capture(self, call: Callable[[], list[Any]]) -> Captured:
        with _NoReading():
            outputs = call()
        self.captures += 1

        def replay() -> None:
            self.replays += 1
            for output, value in zip(outputs, call(), strict=True):
                output.copy_(value)

        return Captured(replay, outputs)

    def follow(self) -> None:
        """All that a CPU does is in order."""
