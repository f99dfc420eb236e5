"""`make bench-demo`: the figures of the demo, as a benchmark's result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from result import Figure, write_result

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "examples" / "common" / "demo.py"


def main() -> int:
    """Run the demo and write its figures; return the demo's exit status."""
    done = subprocess.run([sys.executable, str(DEMO)], cwd=ROOT, check=False)
    report = json.loads((ROOT / "demo-report.json").read_text(encoding="utf-8"))
    write_result("demo", figures_of(report), {"report": report})
    return done.returncode


def figures_of(report: dict[str, Any]) -> dict[str, Figure]:
    """Return the demo's report as figures, each with its goal."""
    low, high = report["speedup_ci95"]
    aa_low, aa_high = report["aa_ratio_ci95"]
    pause_ms = report["slowest_during_swap_ms"] - report["slowest_before_swap_ms"]
    after_ratio = report["after_swap_rps"] / report["baseline_rps"]
    drop, tolerance = report["accuracy_drop_upper95"], report["accuracy_tolerance"]
    requests, failed = report["requests_during_swap"], report["failed_during_swap"]
    on_release, workers = report["workers_on_release"], report["workers"]
    return {
        "speedup": Figure(report["speedup"], "ratio", (low, high), "lower end > 3", low > 3),
        "aa_ratio": Figure(report["aa_ratio"], "ratio", (aa_low, aa_high), "holds 1", aa_low <= 1 <= aa_high),
        "baseline_rps": Figure(report["baseline_rps"], "requests/s"),
        "optimized_rps": Figure(report["optimized_rps"], "requests/s"),
        "after_swap_over_baseline": Figure(after_ratio, "ratio", None, "> 3", after_ratio > 3),
        "accuracy_drop_upper95": Figure(drop, "score", None, f"<= {tolerance:g}", drop <= tolerance),
        "batch_dependence_min_cosine": Figure(report["batch_dependence"], "cosine"),
        "requests_during_swap": Figure(requests, "requests", None, ">= 300", requests >= 300),
        "failed_during_swap": Figure(failed, "requests", None, "0", failed == 0),
        "swap_pause_ms": Figure(pause_ms, "ms", None, "<= 1000", pause_ms <= 1000),
        "workers_on_release_share": Figure(on_release / workers, "ratio", None, "1", on_release == workers),
    }


if __name__ == "__main__":
    sys.exit(main())
