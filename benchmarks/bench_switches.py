"""`make bench-switches`: the gain of each switchable part, on a no-op, models of 1 and 5 ms, and a batch.

The gain of a tuned collector shows only under long loads: these are a separate part.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager

from result import Figure, write_result
from served.arms import OURS, SAMPLER, Arm, start_arms
from served.blocks import Plan, Samples, measure
from served.check import plain_workload
from served.figures import compare, cpu_added, p99, throughput, total_figures
from served.sections import raw_of
from wrk import require_wrk

# By the figure's suffix: the workload, and blocks of each arm. A gain far below 1 ms shows only over many blocks.
_WORKLOADS = {"noop": ("noop", 8), "1ms": ("model_1ms", 16), "5ms": ("model_5ms", 6), "batch": ("batch_model", 5)}
# By switch: the variables that turn the part off.
_BENTOML_PATH = {"BENTO_MONITOR_FAST_PATH": "false"}
_SWITCHES = {
    "fast_path": _BENTOML_PATH,
    "tune_collector": {"BENTO_MONITOR_TUNE_COLLECTOR": "false"},
    "schema": {**_BENTOML_PATH, "BENTO_MONITOR_HOOKS_OFF": "schema"},
    **{
        hook: {"BENTO_MONITOR_HOOKS_OFF": hook}
        for hook in (
            "dispatcher",
            "threads",
            "joined_writes",
            "traffic",
            "head_limits",
        )
    },
}
# Without these there is no fast path, or they do nothing on it: their gain shows only on BentoML's path.
_WITH = dict.fromkeys(("dispatcher", "schema", "traffic"), "fast_path")
# At 1 ms the collector walks the whole heap once in minutes.
_COLLECTOR = "collector_1ms"
_COLLECTOR_PLAN = Plan(blocks=5, seconds=60)


def main() -> int:
    """Measure; return 0 if no block failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, help="blocks of each arm (default: as many as the workload needs)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a block, except collector_1ms (%(default)s)")
    every = ",".join([*_WORKLOADS, _COLLECTOR])
    parser.add_argument("--only", default=every, help="parts, separated by commas (%(default)s)")
    options = parser.parse_args()
    require_wrk()
    started_s = time.monotonic()
    names = options.only.split(",")
    found: dict[str, Samples] = {}
    figures: dict[str, Figure] = {}
    if short := [name for name in names if name != _COLLECTOR]:
        with _started(_SWITCHES) as arms:
            for name in short:
                workload, blocks = _WORKLOADS[name]
                found[name] = measure(arms, plain_workload(workload), Plan(options.blocks or blocks, options.seconds))
                figures |= _gains(name, found[name])
    if _COLLECTOR in names:
        with _started(["tune_collector"]) as arms:
            found[_COLLECTOR] = measure(arms, plain_workload("model_1ms"), _COLLECTOR_PLAN)
        figures |= _pauses(found[_COLLECTOR])
    raw = raw_of(found)
    write_result("switches", figures | total_figures({"blocks": raw}), raw)
    print(f"{(time.monotonic() - started_s) / 60:.1f} minutes in all.")
    return 1 if raw["failed_blocks"] else 0


def _started(switches: Iterable[str]) -> AbstractContextManager[Mapping[str, Arm]]:
    environments = {OURS: SAMPLER} | {_arm(switch): SAMPLER | _SWITCHES[switch] for switch in switches}
    return start_arms(list(environments), environments=environments)


def _gains(name: str, samples: Samples) -> dict[str, Figure]:
    figures = {}
    for switch in _SWITCHES:
        on = _arm(_WITH[switch]) if switch in _WITH else OURS
        figures[f"throughput_with_{switch}_{name}"] = throughput(samples, _arm(switch), candidate=on)
        figures[f"cpu_us_without_{switch}_{name}"] = cpu_added(samples, _arm(switch), on)
    return figures


def _pauses(samples: Samples) -> dict[str, Figure]:
    """Return the longest collection of each arm during its load, and the load's other ratios."""
    without = _arm("tune_collector")
    longest_ms = raw_of({_COLLECTOR: samples})["longest_gc_pause_ms"]
    return {
        "longest_gc_pause_ms_with_tune_collector_1ms": Figure(longest_ms[OURS], "ms"),
        "longest_gc_pause_ms_without_tune_collector_1ms": Figure(longest_ms[without], "ms"),
        "p99_with_tune_collector_long_1ms": compare(samples, OURS, without, p99),
        "throughput_with_tune_collector_long_1ms": throughput(samples, without),
    }


def _arm(switch: str) -> str:
    return f"{OURS} without {switch}"


if __name__ == "__main__":
    sys.exit(main())
