"""`make bench-switches`: what each part that can be switched off gains: on a no-op, models of 1 and 5 ms, a batch."""

from __future__ import annotations

import argparse
import sys
import time

from result import Figure, write_result
from served_arms import OURS, SAMPLER, start_arms
from served_blocks import Plan, Samples, measure
from served_check import plain_workload
from served_figures import cpu_added, throughput, total_figures
from served_sections import raw_of
from wrk import require_wrk

_WORKLOADS = {"noop": "noop", "1ms": "model_1ms", "5ms": "model_5ms", "batch": "batch_model"}
# By the switch: the variable that throws it.
_SWITCHES = {
    "fast_path": {"BENTO_MONITOR_FAST_PATH": "false"},
    "tune_collector": {"BENTO_MONITOR_TUNE_COLLECTOR": "false"},
    **{
        hook: {"BENTO_MONITOR_HOOKS_OFF": hook}
        for hook in (
            "dispatcher",
            "threads",
            "joined_writes",
            "written_answers",
            "proxy_headers",
            "traffic",
            "schema",
            "head_limits",
            "read_stamp",
            "io_stamps",
        )
    },
}


def main() -> int:
    """Measure; 0 if no block failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=10, help="blocks of each arm (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a block (%(default)s)")
    parser.add_argument("--only", default=",".join(_WORKLOADS), help="workloads, by commas (%(default)s)")
    options = parser.parse_args()
    require_wrk()
    started_s = time.monotonic()
    environments = {OURS: SAMPLER} | {_arm(switch): SAMPLER | env for switch, env in _SWITCHES.items()}
    found: dict[str, Samples] = {}
    with start_arms(list(environments), environments=environments) as arms:
        for name in options.only.split(","):
            found[name] = measure(arms, plain_workload(_WORKLOADS[name]), Plan(options.blocks, options.seconds))
    figures: dict[str, Figure] = {}
    for name, samples in found.items():
        for switch in _SWITCHES:
            figures[f"throughput_with_{switch}_{name}"] = throughput(samples, _arm(switch))
            figures[f"cpu_us_without_{switch}_{name}"] = cpu_added(samples, _arm(switch), OURS)
    raw = raw_of(found)
    write_result("switches", figures | total_figures({"blocks": raw}), raw)
    print(f"{(time.monotonic() - started_s) / 60:.1f} minutes in all.")
    return 1 if raw["failed_blocks"] else 0


def _arm(switch: str) -> str:
    return f"{OURS} without {switch}"


if __name__ == "__main__":
    sys.exit(main())
