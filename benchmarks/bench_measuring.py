"""Check the measuring: the load generator against oracles, the statistics on a recording of this machine.

`make bench-measuring` needs half an hour on an otherwise idle machine. `--only PART` measures one part and keeps the
other parts' figures of the last run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from measuring.load import measure_against_mlperf, measure_client, measure_oracles
from measuring.recording import judge, record
from result import Figure, read_result, write_result

_NAME = "measuring"
_SEED = 6
Part = tuple[dict[str, Figure], dict[str, Any]]


def main() -> int:
    """Measure and write `results/measuring.json`; return 0 if every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["oracles", "loadgen", "client", "statistics"], help="measure only one part")
    parser.add_argument("--minutes", type=float, default=20.0, help="length of the recording (default 20)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each load (default 60)")
    parser.add_argument("--runs", type=int, default=4000, help="runs drawn from the recording (default 4000)")
    chosen = parser.parse_args()
    parts: dict[str, Callable[[], Part]] = {
        "oracles": lambda: measure_oracles(chosen.seconds, _SEED),
        "loadgen": lambda: measure_against_mlperf(chosen.seconds, _SEED),
        "client": lambda: measure_client(chosen.seconds / 6),
        "statistics": lambda: judge(record(chosen.minutes), chosen.runs),
    }
    last = read_result(_NAME) if chosen.only else None
    raw: dict[str, Any] = {} if last is None else last["raw"]
    figures = {} if last is None else {name: Figure(**each) for name, each in last["figures"].items()}
    for name, measure in parts.items():
        if chosen.only in (None, name):
            started_s = time.monotonic()
            found, raw[name] = measure()
            figures |= found
            print(f"{name}: {time.monotonic() - started_s:.0f} s", flush=True)
    write_result(_NAME, figures, raw)
    return 0 if all(figure.met is not False for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
