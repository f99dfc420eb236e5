"""Operators of a call in torch: their time, arithmetic, bytes read and written, and device."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from .machine_peak import FLOATS, Place
from .operators import Operators

_PROFILERS_OWN = "Activity Buffer Request"


def read_torch_operators(call: Callable[[], Any], place: Place) -> Operators:
    """Return the operators of a call; empty if torch is not imported.

    The function is called four times: twice to count, once to warm up the profiler, once to time. On a GPU, the time of
    an operator is that of the kernels that it starts.
    """
    if "torch" not in sys.modules:
        return Operators()
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if place.is_gpu else [])]
    for _ in range(2):
        with profile(activities=activities, acc_events=True) as recorded:
            call()
    gib = sum(_bytes_by_place(call).values()) / 2**30
    return Operators(counter.get_total_flops() / 1e9, gib, _own_us(recorded.key_averages(), place))


def find_place(call: Callable[[], Any]) -> Place:
    """Return the device and element type of most bytes read and written by a call.

    The result is the CPU in float32 if most bytes are not on a GPU, or if torch is not imported.
    """
    if "torch" not in sys.modules:
        return Place()
    moved = {place: count for place, count in _bytes_by_place(call).items() if place.dtype in FLOATS}
    most = max(moved, key=lambda place: moved[place], default=Place())
    return most if most.device.startswith("cuda") else Place()


def _own_us(events: Any, place: Place) -> dict[str, float]:
    if not place.is_gpu:
        return {event.key: event.self_cpu_time_total for event in events}
    # A kernel is an event itself, and its time counts for the operator that started it too.
    operators = [event for event in events if event.device_type.name == "CPU" and event.key != _PROFILERS_OWN]
    return {event.key: event.self_device_time_total for event in operators if event.self_device_time_total}


def _bytes_by_place(call: Callable[[], Any]) -> Counter[Place]:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    moved: Counter[Place] = Counter()

    class ByteCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of torch, for subclasses
        def __torch_dispatch__(
            self, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            found = operator(*args, **(kwargs or {}))
            if not operator.is_view:
                for each in tree_leaves((args, kwargs, found)):
                    if isinstance(each, torch.Tensor):
                        place = Place(str(each.device), str(each.dtype).removeprefix("torch."))
                        moved[place] += each.numel() * each.element_size()
            return found

    with ByteCounter():  # type: ignore[no-untyped-call]
        call()
    return moved
