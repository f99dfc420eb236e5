"""How long a function takes for inputs of several sizes, and how near it comes to what the machine can do."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import ServiceError
from .machine_peak import Place, measure_copy_gib_per_s, measure_gemm_gflops
from .operators import Operators
from .profile_record import BatchTime, Intensity, LengthTime, StandaloneProfile
from .session_operators import read_session_operators
from .torch_operators import find_place, read_torch_operators

_LEAST_ROUNDS = 3
_CALLS_TO_READ = 8  # of torch and ONNX Runtime, four each
# Of the time: the rest goes to batches.
_LENGTHS_SHARE = 1 / 3
Call = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class FunctionInputs:
    """What a function is called with: batches by their size, and single rows by their length in `length_unit`."""

    by_size: Mapping[int, Sequence[Any]]
    by_length: Mapping[int, Sequence[Any]] = field(default_factory=dict)
    length_unit: str | None = None


def profile_function(inputs: FunctionInputs, make: Callable[[], Call], seconds: float) -> StandaloneProfile:
    """Time a function, the peaks of where it computes beside it, and what it does inside torch and ONNX Runtime.

    Args:
        inputs: what it is called with; a length that it fails on is left out.
        make: makes the function. It is made again for the operators: a session of ONNX Runtime has a profiler from its
            making or not at all, and one that has is slower.
        seconds: for the times.
    """
    call = make()
    by_length = _those_that_work(inputs.by_length, call)
    place = find_place(lambda: call(inputs.by_size[max(inputs.by_size)][0]))
    gemm_gflops, copy_gib_per_s = 0.0, 0.0

    def measure_peaks() -> None:
        nonlocal gemm_gflops, copy_gib_per_s
        gemm_gflops = max(gemm_gflops, measure_gemm_gflops(place))
        copy_gib_per_s = max(copy_gib_per_s, measure_copy_gib_per_s(place))

    for_lengths_s = seconds * _LENGTHS_SHARE if by_length else 0.0
    times = tuple(
        BatchTime(*found) for found in _time_each(inputs.by_size, call, seconds - for_lengths_s, measure_peaks)
    )
    length_times = tuple(LengthTime(*found) for found in _time_each(by_length, call, for_lengths_s))
    alpha_ms, beta_ms = fit_line(times)
    to_read = {size: inputs.by_size[size][0] for size in _sizes_to_read(times, seconds)}
    operators = _read_operators(to_read, call, make, place)
    largest = operators[times[-1].batch_size]
    return StandaloneProfile(
        times=times,
        alpha_ms=alpha_ms,
        beta_ms=beta_ms,
        length_times=length_times,
        length_unit=inputs.length_unit if length_times else None,
        gemm_gflops=gemm_gflops,
        copy_gib_per_s=copy_gib_per_s,
        gflop_per_item=largest.gflop / times[-1].batch_size if largest.gflop else None,
        intensities=_intensities(times, operators),
        operators=largest.shares,
        computes_in=place.description,
    )


def fit_line(times: Sequence[BatchTime]) -> tuple[float | None, float | None]:
    """`alpha + beta * size` in ms through the times, weighed by their size, so that no batch counts for the most."""
    if len(times) < 2:
        return None, None
    sizes = np.array([each.batch_size for each in times], dtype=np.float64)
    medians = np.array([each.median_ms for each in times])
    beta, alpha = np.polyfit(sizes, medians, 1, w=1 / medians)
    return max(float(alpha), 0.0), max(float(beta), 0.0)


def _time_each(
    groups: Mapping[int, Sequence[Any]], call: Call, seconds: float, beside: Callable[[], None] = lambda: None
) -> Iterable[tuple[int, float, int]]:
    """Call with a value of each group in rounds of random order: the group, its median in ms, and how many calls."""
    for values in groups.values():
        call(values[0])  # it allocates, and compiles what it compiles
    took_s: dict[int, list[float]] = {group: [] for group in groups}
    order = random.Random(0)
    end_s = time.monotonic() + seconds
    for number in itertools.count():
        if not groups or (number >= _LEAST_ROUNDS and time.monotonic() > end_s):
            break
        for group in order.sample(list(groups), len(groups)):
            value = groups[group][number % len(groups[group])]
            started_s = time.perf_counter()
            call(value)
            took_s[group].append(time.perf_counter() - started_s)
        beside()
    return [(group, float(np.median(each)) * 1e3, len(each)) for group, each in sorted(took_s.items())]


def _those_that_work(groups: Mapping[int, Sequence[Any]], call: Call) -> dict[int, Sequence[Any]]:
    """The groups that the function takes: a text made longer may be too long for it."""
    found: dict[int, Sequence[Any]] = {}
    for group, values in groups.items():
        try:
            for value in values:
                call(value)
        except ServiceError:
            continue
        found[group] = values
    return found if len(found) > 1 else {}


def _sizes_to_read(times: Sequence[BatchTime], seconds: float) -> list[int]:
    """The batches whose operators are read: all of them, or the two ends where that takes longer than the times did."""
    sizes = [each.batch_size for each in times]
    is_long = sum(each.median_ms for each in times) * _CALLS_TO_READ > seconds * 1e3
    return sorted({sizes[0], sizes[-1]}) if is_long else sizes


def _read_operators(
    values: Mapping[int, Any], call: Call, make: Callable[[], Call], place: Place
) -> dict[int, Operators]:
    of_sessions = read_session_operators(make, values)

    def of_torch(value: Any) -> Operators:
        return read_torch_operators(lambda: call(value), place)

    return {size: of_torch(value) + of_sessions.get(size, Operators()) for size, value in values.items()}


def _intensities(times: Sequence[BatchTime], operators: Mapping[int, Operators]) -> tuple[Intensity, ...]:
    found = []
    for each in times:
        done = operators.get(each.batch_size)
        if done is not None and done.gflop and done.gib:
            flop_per_byte = done.gflop * 1e9 / (done.gib * 2**30)
            found.append(Intensity(each.batch_size, done.gflop / each.median_ms * 1e3, flop_per_byte))
    return tuple(found)
