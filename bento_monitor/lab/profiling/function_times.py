"""Times of a function for inputs of several sizes, compared with the peak performance of the machine."""

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

_MIN_ROUNDS = 3
_PROFILED_CALLS = 8  # four with torch's profiler, four with ONNX Runtime's
# Share of the measuring time; batches get the rest.
_LENGTHS_SHARE = 1 / 3
Call = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class FunctionInputs:
    """Inputs of a function: batches by size, and single rows by length in `length_unit`."""

    by_size: Mapping[int, Sequence[Any]]
    by_length: Mapping[int, Sequence[Any]] = field(default_factory=dict)
    length_unit: str | None = None


def profile_function(inputs: FunctionInputs, make: Callable[[], Call], seconds: float) -> StandaloneProfile:
    """Time a function, measure the peaks of its device, and profile its operators in torch and ONNX Runtime.

    Args:
        inputs: inputs of the function; lengths on which the function fails are left out.
        make: creates the function. It is called a second time to profile operators, because an ONNX Runtime session
            gets a profiler only when it is created, and a session with a profiler is slower.
        seconds: duration of the time measurement.
    """
    call = make()
    by_length = _working_groups(inputs.by_length, call)
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
    profiled = {size: inputs.by_size[size][0] for size in _profiled_sizes(times, seconds)}
    operators = _read_operators(profiled, call, make, place)
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
    """Fit `alpha + beta * size` to the times and return `(alpha, beta)` in ms; `(None, None)` for fewer than two sizes.

    Each time is weighted by its inverse, so that large batches do not dominate the fit.
    """
    if len(times) < 2:
        return None, None
    sizes = np.array([each.batch_size for each in times], dtype=np.float64)
    medians = np.array([each.median_ms for each in times])
    beta, alpha = np.polyfit(sizes, medians, 1, w=1 / medians)
    return max(float(alpha), 0.0), max(float(beta), 0.0)


def _time_each(
    groups: Mapping[int, Sequence[Any]], call: Call, seconds: float, after_round: Callable[[], None] = lambda: None
) -> Iterable[tuple[int, float, int]]:
    """Time one value of each group per round, in random order; return group, median in ms and number of calls."""
    for values in groups.values():
        call(values[0])  # the first call allocates and compiles
    took_s: dict[int, list[float]] = {group: [] for group in groups}
    order = random.Random(0)
    end_s = time.monotonic() + seconds
    for number in itertools.count():
        if not groups or (number >= _MIN_ROUNDS and time.monotonic() > end_s):
            break
        for group in order.sample(list(groups), len(groups)):
            value = groups[group][number % len(groups[group])]
            started_s = time.perf_counter()
            call(value)
            took_s[group].append(time.perf_counter() - started_s)
        after_round()
    return [(group, float(np.median(each)) * 1e3, len(each)) for group, each in sorted(took_s.items())]


def _working_groups(groups: Mapping[int, Sequence[Any]], call: Call) -> dict[int, Sequence[Any]]:
    """Return the groups that the function accepts: an extended text may be too long."""
    found: dict[int, Sequence[Any]] = {}
    for group, values in groups.items():
        try:
            for value in values:
                call(value)
        except ServiceError:
            continue
        found[group] = values
    return found if len(found) > 1 else {}


def _profiled_sizes(times: Sequence[BatchTime], seconds: float) -> list[int]:
    """Return the batch sizes to profile: all, or only the smallest and the largest if all would take too long."""
    sizes = [each.batch_size for each in times]
    is_long = sum(each.median_ms for each in times) * _PROFILED_CALLS > seconds * 1e3
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
