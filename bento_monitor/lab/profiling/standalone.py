"""Measurement of the standalone API function, without a server: an upper bound for its throughput when served.

`python -P -m bento_monitor.lab.profiling.standalone TARGET ROUTE BODIES SECONDS` imports the user's module, measures
the function, and prints a `StandaloneProfile` as JSON, or null if the function cannot be called without a server.
"""

from __future__ import annotations

import inspect
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...errors import BentoMonitorError, MeasurementError
from ..loadgen.packing import read_bodies, write_bodies
from .function_times import FunctionInputs, profile_function
from .lengths import rows_by_length, unit_of
from .profile_file import read_standalone
from .profile_record import StandaloneProfile
from .subject import Target

_TIMEOUT_S = 300.0
BUDGET_S = 8.0
_SIZES = (1, 2, 4, 8, 16, 32)


def measure_standalone(
    target: Target, route: str, bodies: Sequence[bytes], seconds: float = BUDGET_S
) -> StandaloneProfile | None:
    """Measure the function in a child process; return None if the function is async, or takes more than one input.

    Raises:
        MeasurementError: the function failed on the bodies, or the measurement timed out.
    """
    with tempfile.TemporaryDirectory(prefix="bento-monitor-standalone-") as folder:
        file = Path(folder) / "bodies.npz"
        write_bodies(file, bodies)
        command = [sys.executable, "-P", "-m", "bento_monitor.lab.profiling.standalone", target.name, route]
        command += [str(file), str(seconds)]
        try:
            done = subprocess.run(
                command, cwd=target.working_dir, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise MeasurementError(
                f"The standalone function of {route} was not measured within {_TIMEOUT_S:.0f} s: "
                "profile with smaller inputs (--data FILE)."
            ) from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["the process wrote no error"])[-1]
        raise MeasurementError(
            f"The standalone function of {route} could not be measured: {last.removeprefix('Error: ')}"
        )
    found = json.loads(done.stdout.splitlines()[-1])
    return None if found is None else read_standalone(found)


def main(target: str, route: str, bodies: str, seconds: str) -> int:
    """Measure the function, print the result as JSON, and return the exit code."""
    try:
        values = [json.loads(body) for body in read_bodies(Path(bodies))]
        found = _measure(target, route, values, float(seconds))
    except BentoMonitorError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.stdout.write("\n" + json.dumps(None if found is None else asdict(found)) + "\n")
    return 0


def _measure(target: str, route: str, bodies: list[Any], seconds: float) -> StandaloneProfile | None:
    from ...integrations.bentoml.services import ApiArguments, apis_of, call_api, instantiate, load_service, validated

    service = load_service(target, Path.cwd())
    api = next(each for each in apis_of(service) if each.route == route)
    if api.input_name is None or inspect.iscoroutinefunction(inspect.unwrap(api.method.func)):
        return None
    values = [body[api.input_name] for body in bodies if api.input_name in body]
    if not values:
        return None
    if api.is_batchable:
        rows = [row for value in values for row in value]
        sizes = [size for size in _SIZES if size <= api.max_batch_size]
        by_size = {size: [validated(api, repeat_rows(rows, size))] for size in sizes}
    else:
        rows, by_size = values, {1: [validated(api, value) for value in values]}
    by_length = {
        length: [validated(api, [row] if api.is_batchable else row) for row in group]
        for length, group in rows_by_length(rows).items()
    }
    inputs = FunctionInputs(by_size, by_length, unit_of(rows))

    def make() -> Callable[[Any], Any]:
        instance = instantiate(service)
        return lambda value: call_api(service, instance, api, ApiArguments((value,), {}))

    return profile_function(inputs, make, seconds)


def repeat_rows(rows: Sequence[Any], size: int) -> list[Any]:
    """Return the first `size` rows, repeating the rows if there are fewer."""
    return list(itertools.islice(itertools.cycle(rows), size))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
