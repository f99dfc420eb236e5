"""`make soak`: the faults of `tests/integration/faults` at full length, several at a time: about two hours.

Nearly all of a fault's time is waiting, so several share the machine. Latency has no goal: its shifts are figures.
What a fault must never do is a goal; with a missed one the soak exits with code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from fault_attributes import run_odd_attributes
from fault_collector import Lengths, collector_faults, run_collector_fault
from fault_disk import run_without_disk
from fault_flood import run_flood, run_heavy_headers
from fault_fork import run_forks
from fault_hooks import GROUPS, run_broken
from fault_kill import run_kills
from fault_stop import DEAD_COLLECTORS, run_stops
from result import Figure, write_result
from soak_rows import (
    Row,
    attributes_row,
    collector_row,
    flood_row,
    fork_row,
    headers_row,
    kill_row,
    stop_row,
    worker_row,
)

# At full length.
_ABSENT_S, _FAULT_S, _BEFORE_S, _FLOOD_S, _HOOK_S = 600.0, 300.0, 60.0, 60.0, 20.0
_KILLS, _FORKS = 100, 50
# Only for the estimate.
_START_S, _KILL_S, _FORK_S = 8.0, 10.0, 1.0
_MIN_S = 2.0


def rows(scale: float, rate_rps: float) -> dict[str, tuple[Callable[[Path], Row], float]]:
    """Return every row: a function that runs it in its own folder, and about how many seconds that takes."""

    def scaled_s(full_s: float) -> float:
        return max(full_s * scale, _MIN_S)

    def lengths_of(name: str) -> Lengths:
        return Lengths(scaled_s(_BEFORE_S), scaled_s(_ABSENT_S if name == "absent" else _FAULT_S), rate_rps)

    kills, forks = max(round(_KILLS * scale), 1), max(round(_FORKS * scale), 1)
    short_s = scaled_s(_HOOK_S)
    found: dict[str, tuple[Callable[[Path], Row], float]] = {}
    for name in collector_faults(lengths_of("")):
        lengths = lengths_of(name)
        took_s = _START_S + lengths.fault_s + 2 * lengths.before_s + lengths.timeout_s
        found[name] = (partial(_collector, name, lengths), took_s)
    found["stop"] = (
        lambda home: stop_row(run_stops(short_s, rate_rps, home)),
        len(DEAD_COLLECTORS) * (_START_S + short_s),
    )
    found["kill -9"] = (lambda home: kill_row(run_kills(kills, rate_rps, home)), _START_S + kills * _KILL_S)
    found["fork"] = (
        lambda home: fork_row(run_forks(forks, rate_rps, "http/protobuf", home)),
        _START_S + forks * _FORK_S,
    )
    found["fork, grpc"] = (lambda home: fork_row(run_forks(forks, rate_rps, "grpc", home)), _START_S + forks * _FORK_S)
    found["flood"] = (
        lambda home: flood_row(run_flood(scaled_s(_FLOOD_S), rate_rps, home)),
        _START_S + scaled_s(_FLOOD_S),
    )
    found["heavy headers"] = (lambda home: headers_row(run_heavy_headers(home)), _START_S)
    found["odd attributes"] = (
        lambda home: attributes_row(run_odd_attributes(short_s, rate_rps, home)),
        _START_S + short_s,
    )
    found["no disk"] = (
        lambda home: worker_row(run_without_disk(short_s, rate_rps, home).answers),
        _START_S + short_s,
    )
    for name in GROUPS:
        found[f"broken: {name}"] = (partial(_broken, name, short_s, rate_rps), _START_S + short_s)
    return found


def _collector(name: str, lengths: Lengths, home: Path) -> Row:
    return collector_row(run_collector_fault(name, lengths, home))


def _broken(name: str, seconds: float, rate_rps: float, home: Path) -> Row:
    return worker_row(run_broken(GROUPS[name], seconds, rate_rps, home).answers)


def main() -> int:
    """Run the chosen rows and write the result, whatever fails; return 0 if every goal was met."""
    options = read_options()
    # The receivers are in this process, which starts servers: gRPC sometimes kills a child before its exec.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    every = rows(options.scale, options.rate)
    chosen = options.only.split("; ") if options.only else list(every)
    if unknown := set(chosen) - set(every):
        raise SystemExit(f"No row is named {', '.join(sorted(unknown))}: there are {'; '.join(every)}.")
    longest_first = sorted(chosen, key=lambda name: every[name][1], reverse=True)
    took_s = max(sum(every[name][1] for name in chosen) / options.jobs, every[longest_first[0]][1])
    print(f"About {took_s / 60:.0f} minutes in all, {options.jobs} faults at a time.", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        running = {name: pool.submit(run_row, name, every[name][0]) for name in longest_first}
        done = {name: running[name].result() for name in chosen}
    figures = {f"{name}: {key}": figure for name, row in done.items() for key, figure in row.figures.items()}
    write_result(
        "soak",
        figures,
        {"scale": options.scale, "jobs": options.jobs, "rows": {name: row.raw for name, row in done.items()}},
    )
    return 0 if all(figure.met is not False for figure in figures.values()) else 1


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="factor of every length and number (%(default)s)")
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second (%(default)s)")
    parser.add_argument("--jobs", type=int, default=4, help="faults at a time (%(default)s)")
    parser.add_argument("--only", metavar="ROWS", help="rows to run, separated by '; '")
    return parser.parse_args()


def run_row(name: str, run: Callable[[Path], Row]) -> Row:
    """Run one row; its failure does not stop the others, and counts as a missed goal."""
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bento-monitor-soak-") as folder:
        try:
            row = run(Path(folder))
        except Exception as error:
            traceback.print_exc()
            row = Row({"ran": Figure(0, "rows", None, "1", met=False)}, {"error": f"{type(error).__name__}: {error}"})
    missed = [key for key, figure in row.figures.items() if figure.met is False]
    what = f"missed: {', '.join(missed)}" if missed else "every goal met"
    print(f"{name:28} {time.monotonic() - started_s:6.0f} s  {what}", flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
