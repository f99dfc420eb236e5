"""The service's function by itself, without a server: how fast it could be served at the most.

`python -P -m bento_monitor.profiling.bare TARGET ROUTE BODIES` measures in a process of its own, which imports the
user's module, and prints a `BareProfile` as JSON, or null where the function cannot be called alone.
"""

from __future__ import annotations

import inspect
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BentoMonitorError, MeasurementError
from ..loadgen.packing import read_bodies, write_bodies
from .machine_peak import measure_copy_gib_per_s, measure_gemm_gflops
from .profile_file import read_bare
from .record import BareProfile, BatchTime
from .subject import Target
from .torch_operators import Operators, read_operators

_TIMEOUT_S = 300.0
BUDGET_S = 8.0
_SIZES = (1, 2, 4, 8, 16, 32)
_LEAST_ROUNDS = 3


def measure_bare(target: Target, route: str, bodies: Sequence[bytes], seconds: float = BUDGET_S) -> BareProfile | None:
    """Measure in a child process; None where the function is async, or takes more than one input.

    Raises:
        MeasurementError: the function fails on the bodies, or did not come to an end.
    """
    with tempfile.TemporaryDirectory(prefix="bento-monitor-bare-") as folder:
        file = Path(folder) / "bodies.npz"
        write_bodies(file, bodies)
        command = [sys.executable, "-P", "-m", "bento_monitor.profiling.bare", target.name, route]
        command += [str(file), str(seconds)]
        try:
            done = subprocess.run(
                command, cwd=target.working_dir, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"The function of {route} was not measured within {_TIMEOUT_S:.0f} s.") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise MeasurementError(f"The function of {route} could not be measured alone: {last.removeprefix('Error: ')}")
    found = json.loads(done.stdout.splitlines()[-1])
    return None if found is None else read_bare(found)


def main(target: str, route: str, bodies: str, seconds: str) -> int:
    """Measure, and print what was found."""
    try:
        values = [json.loads(body) for body in read_bodies(Path(bodies))]
        found = _measure(target, route, values, float(seconds))
    except BentoMonitorError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.stdout.write("\n" + json.dumps(None if found is None else asdict(found)) + "\n")
    return 0


def _measure(target: str, route: str, bodies: list[Any], seconds: float) -> BareProfile | None:
    from ..bentoml_hooks.services import apis_of, call_api, instantiate, load_service, validated

    service = load_service(target, Path.cwd())
    api = next(each for each in apis_of(service) if each.route == route)
    if api.input_name is None or inspect.iscoroutinefunction(inspect.unwrap(api.method.func)):
        return None
    instance = instantiate(service)
    values = [body[api.input_name] for body in bodies if api.input_name in body]
    if not values:
        return None
    if not api.is_batchable:
        inputs = {1: [validated(api, value) for value in values]}
    else:
        rows = [row for value in values for row in value]
        sizes = [size for size in _SIZES if size <= api.max_batch_size]
        inputs = {size: [validated(api, rows_of(rows, size))] for size in sizes}
    return profile_calls(inputs, lambda value: call_api(service, instance, api, value), seconds)


def rows_of(rows: Sequence[Any], size: int) -> list[Any]:
    """The first rows, over again where there are fewer."""
    return list(itertools.islice(itertools.cycle(rows), size))


def profile_calls(inputs: dict[int, list[Any]], call: Callable[[Any], Any], seconds: float = BUDGET_S) -> BareProfile:
    """Time calls with batches of several sizes, in rounds of random order, and the machine's peaks beside them."""
    for values in inputs.values():
        call(values[0])  # it allocates, and compiles what it compiles
    took_s: dict[int, list[float]] = {size: [] for size in inputs}
    gemm_gflops, copy_gib_per_s = 0.0, 0.0
    order = random.Random(0)
    end_s = time.monotonic() + seconds
    for number in itertools.count():
        if number >= _LEAST_ROUNDS and time.monotonic() > end_s:
            break
        for size in order.sample(list(inputs), len(inputs)):
            value = inputs[size][number % len(inputs[size])]
            started_s = time.perf_counter()
            call(value)
            took_s[size].append(time.perf_counter() - started_s)
        gemm_gflops = max(gemm_gflops, measure_gemm_gflops())
        copy_gib_per_s = max(copy_gib_per_s, measure_copy_gib_per_s())
    times = tuple(BatchTime(size, float(np.median(each)) * 1e3, len(each)) for size, each in sorted(took_s.items()))
    alpha_ms, beta_ms = fit_line(times)
    largest = times[-1]
    operators = read_operators(lambda: call(inputs[largest.batch_size][0]))
    gflop = operators.gflop / largest.batch_size if operators.gflop else None
    return BareProfile(
        times=times,
        alpha_ms=alpha_ms,
        beta_ms=beta_ms,
        gemm_gflops=gemm_gflops,
        copy_gib_per_s=copy_gib_per_s,
        gflop_per_item=gflop,
        peak_share=_peak_share(operators, largest, gemm_gflops),
        operators=operators.shares,
    )


def fit_line(times: Sequence[BatchTime]) -> tuple[float | None, float | None]:
    """`alpha + beta * size` in ms through the times, weighed by their size, so that no batch counts for the most."""
    if len(times) < 2:
        return None, None
    sizes = np.array([each.batch_size for each in times], dtype=np.float64)
    medians = np.array([each.median_ms for each in times])
    beta, alpha = np.polyfit(sizes, medians, 1, w=1 / medians)
    return max(float(alpha), 0.0), max(float(beta), 0.0)


def _peak_share(operators: Operators, time_of: BatchTime, gemm_gflops: float) -> float | None:
    return operators.gflop / (time_of.median_ms / 1e3) / gemm_gflops if operators.gflop else None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
