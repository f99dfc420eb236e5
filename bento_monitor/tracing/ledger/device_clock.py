"""Measures the GPU time of a call by CUDA events, because a call returns while its kernels still run."""

from __future__ import annotations

import sys
from typing import Any


class DeviceClock:
    """GPU time of one call, between two events on the device's current stream."""

    def __init__(self, device: Any) -> None:
        """Record the first event. `device` is a CUDA device of torch, which the caller has imported."""
        # `torch.cuda.Event` looks up the current stream in Python, which takes longer than everything done here.
        make = sys.modules["torch"].Event
        self._begin = make(device, enable_timing=True)
        self._end = make(device, enable_timing=True)
        self._begin.record()

    def stop(self) -> None:
        """Record the second event after the call has returned; its kernels may still run."""
        self._end.record()

    def elapsed_ns(self) -> int:
        """Wait for the device, and return the nanoseconds between the two events."""
        self._end.synchronize()
        elapsed_ms: float = self._begin.elapsed_time(self._end)
        return round(elapsed_ms * 1e6)


def start_device_clock(parameter: Any) -> DeviceClock | None:
    """Start a clock on the device that holds a module's parameter; return None if it is no CUDA device.

    Also return None while a CUDA graph is captured: its kernels run when the graph is replayed, and an event recorded
    into the graph cannot be used outside of it.
    """
    if parameter is None or not parameter.is_cuda or sys.modules["torch"].cuda.is_current_stream_capturing():
        return None
    return DeviceClock(parameter.device)
