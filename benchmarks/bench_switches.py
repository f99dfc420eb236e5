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

# By the figure's suffix: the workload, and blocks of each arm. What is small beside 1 ms takes many blocks to be seen.
_WORKLOADS = {"noop": ("noop", 8), "1ms": ("model_1ms", 16), "5ms": ("model_5ms", 6), "batch": ("batch_model", 5)}
# By the switch: the variables that throw it.
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
            "written_answers",
            "proxy_headers",
            "traffic",
            "head_limits",
        )
    },
}
# Without these there is no fast path, or on it they do nothing: what they gain is seen on BentoML's path alone.
_WITH = dict.fromkeys(("dispatcher", "schema", "traffic"), "fast_path")


def main() -> int:
    """Measure; 0 if no block failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, help="blocks of each arm (as many as each workload needs)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a block (%(default)s)")
    parser.add_argument("--only", default=",".join(_WORKLOADS), help="workloads, by commas (%(default)s)")
    options = parser.parse_args()
    require_wrk()
    started_s = time.monotonic()
    environments = {OURS: SAMPLER} | {_arm(switch): SAMPLER | env for switch, env in _SWITCHES.items()}
    found: dict[str, Samples] = {}
    with start_arms(list(environments), environments=environments) as arms:
        for name in options.only.split(","):
            workload, blocks = _WORKLOADS[name]
            plan = Plan(options.blocks or blocks, options.seconds)
            found[name] = measure(arms, plain_workload(workload), plan)
    figures: dict[str, Figure] = {}
    for name, samples in found.items():
        for switch in _SWITCHES:
            on = _arm(_WITH[switch]) if switch in _WITH else OURS
            figures[f"throughput_with_{switch}_{name}"] = throughput(samples, _arm(switch), candidate=on)
            figures[f"cpu_us_without_{switch}_{name}"] = cpu_added(samples, _arm(switch), on)
    raw = raw_of(found)
    write_result("switches", figures | total_figures({"blocks": raw}), raw)
    print(f"{(time.monotonic() - started_s) / 60:.1f} minutes in all.")
    return 1 if raw["failed_blocks"] else 0


def _arm(switch: str) -> str:
    return f"{OURS} without {switch}"


if __name__ == "__main__":
    sys.exit(main())
