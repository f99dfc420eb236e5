"""Which of torch's operators a call spends its time in, and how much arithmetic they are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_LARGEST = 8
_LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Operators:
    """Billions of floating-point operations of a call, and the largest shares of its time inside torch by operator."""

    gflop: float
    shares: tuple[tuple[str, float], ...]


def read_operators(call: Callable[[], Any]) -> Operators:
    """Call once to count, once to get the profiler going, once to time; nothing is found where torch is not loaded."""
    if "torch" not in sys.modules:
        return Operators(0.0, ())
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    for _ in range(2):
        with profile(activities=[ProfilerActivity.CPU]) as recorded:
            call()
    own_us = {event.key: event.self_cpu_time_total for event in recorded.key_averages()}
    total_us = sum(own_us.values())
    largest = sorted(own_us, key=lambda name: -own_us[name])[:_LARGEST]
    shares = tuple((name, own_us[name] / total_us) for name in largest if own_us[name] >= _LEAST_SHARE * total_us)
    return Operators(counter.get_total_flops() / 1e9, shares)
