"""How long a GPU computes for a call, by CUDA events: a call returns while its kernels still run."""

from __future__ import annotations

import sys
from typing import Any


class DeviceClock:
    """Around one call: an event on the device's current stream before it, and one after it."""

    def __init__(self, device: Any) -> None:
        """Start; `device` is a CUDA device of torch, which its user has imported."""
        # `torch.cuda.Event` asks for the current stream in Python, which takes longer than all that is done here.
        make = sys.modules["torch"].Event
        self._begin = make(device, enable_timing=True)
        self._end = make(device, enable_timing=True)
        self._begin.record()

    def stop(self) -> None:
        """The call has returned; what it has asked of the device may still run."""
        self._end.record()

    def elapsed_ns(self) -> int:
        """Nanoseconds between the two events on the device, which is waited for."""
        self._end.synchronize()
        elapsed_ms: float = self._begin.elapsed_time(self._end)
        return round(elapsed_ms * 1e6)


def start_device_clock(parameter: Any) -> DeviceClock | None:
    """A clock of the device that holds a parameter of a module; None where that is no CUDA device.

    None too while a CUDA graph is captured: its kernels run when the graph is replayed, and an event that is recorded
    into it is of no use outside of it.
    """
    if parameter is None or not parameter.is_cuda or sys.modules["torch"].cuda.is_current_stream_capturing():
        return None
    return DeviceClock(parameter.device)
