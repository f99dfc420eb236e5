"""Which of torch's operators a call spends its time in, their arithmetic, and how much they read and write."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .operators import Operators


def read_torch_operators(call: Callable[[], Any]) -> Operators:
    """Call twice to count, once to get the profiler going, once to time; nothing is found where torch is not loaded."""
    if "torch" not in sys.modules:
        return Operators()
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    for _ in range(2):
        with profile(activities=[ProfilerActivity.CPU]) as recorded:
            call()
    own_us = {event.key: event.self_cpu_time_total for event in recorded.key_averages()}
    return Operators(counter.get_total_flops() / 1e9, _count_bytes(call) / 2**30, own_us)


def _count_bytes(call: Callable[[], Any]) -> int:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    total = 0

    class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's, of its subclasses
        def __torch_dispatch__(
            self, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            nonlocal total
            found = operator(*args, **(kwargs or {}))
            if not operator.is_view:
                tensors = [each for each in tree_leaves((args, kwargs, found)) if isinstance(each, torch.Tensor)]
                total += sum(each.numel() * each.element_size() for each in tensors)
            return found

    with Counter():  # type: ignore[no-untyped-call]
        call()
    return total
