"""The demo: serve, trace, optimize and promote a real model, under load.

All its files are in `.bento-monitor/demo` in the current folder; the report is `demo-report.json`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from bento_monitor.cli.exits import interrupted_once
from bento_monitor.lab.loadgen import LoadSpec, run_load, summarize
from bento_monitor.lab.loadgen.packing import read_bodies, write_bodies
from bento_monitor.lab.model_host.answer_values import read_answered_rows, read_answers
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from rich.console import Console

from demo_report import print_report, problems_of, write_report
from demo_swap import answers_alone, capacity_rps, swap_under_load

HERE = Path(__file__).resolve().parent
DEMO = Path(".bento-monitor/demo").resolve()
COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
TARGET, BASELINE = "service:SemanticSearch", "service_plain:SemanticSearch"
PROBES = 50
# The weights and kernels are the same; only the order of sums differs.
ANSWER_TOLERANCE = 1e-3

console = Console()


def main() -> int:
    """Run the demo; return 0 if all checks passed. Speed is not checked."""
    started_s = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir(parents=True)
    os.environ.update(
        BENTOML_HOME=str(DEMO / "bentoml"), BENTO_MONITOR_HOME=str(DEMO / "monitor"), BENTOML_DO_NOT_TRACK="True"
    )
    data = DEMO / "eval.npz"
    _run([sys.executable, str(HERE / "make_data.py"), str(data)])
    bodies = _write_bodies(data)

    _print_heading("1. Serve a sentence-embedding service, monitored by one line of its code")
    spec = ServerSpec(target=TARGET, working_dir=HERE, as_="monitored", log=DEMO / "server.log")
    with start_server(spec) as server:
        console.print(f"{server.base_url}, {len(server.worker_pids())} worker(s), log in {DEMO / 'server.log'}")
        _show_traces(server, bodies)
        found = _optimize(data)
        report = _swap(server, bodies, found)
    print_report(console, report)
    write_report(Path("demo-report.json"), report)
    console.print(f"Written to demo-report.json, after {(time.monotonic() - started_s) / 60:.1f} minutes.")
    problems = problems_of(report)
    for problem in problems:
        console.print(f"FAILED: {problem}", style="bold red")
    return 1 if problems else 0


def _show_traces(server: ServerProcess, bodies: Path) -> None:
    _print_heading("2. Send requests, and show the slowest")
    load = LoadSpec(
        port=server.port, path="/embed", bodies=bodies, mode="closed", connections=16, request_count=160, seed=1
    )
    summary = summarize(run_load(load))
    console.print(f"{summary.ok} requests answered, {summary.failed} failed, p50 {summary.p50_ms:.0f} ms")
    time.sleep(1.5)  # the pipeline exports spans twice per second
    _run([COMMAND, "traces", "--limit", "5"])
    listed = subprocess.run([COMMAND, "traces", "--limit", "1", "--json"], capture_output=True, text=True, check=True)
    _run([COMMAND, "traces", json.loads(listed.stdout)[0]["trace_id"]])


def _optimize(data: Path) -> dict[str, Any]:
    _print_heading("3. Find the fastest configuration that keeps recall@10 within 0.01")
    command = [COMMAND, "optimize", TARGET, "--baseline", BASELINE, "--data", str(data), "--metric", "recall@10"]
    command += ["--max-drop", "0.01", "--trials", "8", "--study-dir", str(DEMO), "--json"]
    console.print("bento-monitor " + " ".join(command[1:]), highlight=False, soft_wrap=True)
    result = DEMO / "optimize.json"
    with result.open("w") as output:
        _run(command, cwd=HERE, stdout=output)
    found: dict[str, Any] = json.loads(result.read_text())
    console.print(f"Found: {found['candidate']}", highlight=False)
    return found


def _swap(server: ServerProcess, bodies: Path, found: dict[str, Any]) -> dict[str, Any]:
    _print_heading("4. Promote it into the running server, under load")
    capacity = capacity_rps(server.port, bodies, 6.0)
    console.print(f"The running server answers {capacity:.0f} requests/s; load is half of that, for about 40 s.")
    swap = swap_under_load(server.port, bodies, found["release"], capacity / 2)
    console.print(f"{swap.requests} requests during the swap, {swap.failed} failed.")
    difference = _largest_difference(server, bodies, found["release"])
    after = capacity_rps(server.port, bodies, 10.0)
    return {
        **{key: value for key, value in found.items() if key not in ("machine", "versions")},
        "requests_during_swap": swap.requests,
        "failed_during_swap": swap.failed,
        "slowest_during_swap_ms": swap.slowest_ms,
        "slowest_before_swap_ms": swap.slowest_before_ms,
        "swap_rate_rps": swap.rate_rps,
        "workers": swap.workers,
        "workers_on_release": swap.workers_on_release,
        "answers_after_swap_max_abs_difference": difference,
        "answers_after_swap_tolerance": ANSWER_TOLERANCE,
        "after_swap_rps": after,
        "machine": found["machine"],
        "versions": found["versions"],
    }


def _largest_difference(server: ServerProcess, bodies: Path, release: str) -> float:
    """Return the largest difference between the server's answers and the release's answers from the study.

    Both are computed without other samples in the batch. The study may hold answers of several finalists; the name of a
    release ends with that of its candidate.
    """
    (own_answers,) = DEMO.glob(f"studies/*/answers/winner-{release.rpartition('-')[2]}-alone.npz")
    chosen = read_answered_rows(own_answers)[:PROBES]
    all_bodies = read_bodies(bodies)
    answers = answers_alone(server.port, [all_bodies[index] for index in chosen])
    expected = read_answers(own_answers)[:PROBES]
    return float(max(np.abs(answer - own).max() for answer, own in zip(answers, expected, strict=True)))


def _write_bodies(data: Path) -> Path:
    path = DEMO / "bodies.npz"
    with np.load(data, allow_pickle=False) as arrays:
        sentences = arrays["sentences"].tolist()
    write_bodies(path, tuple(json.dumps({"sentences": [sentence]}).encode() for sentence in sentences))
    return path


def _print_heading(text: str) -> None:
    console.rule(f"[bold]{text}", align="left")


def _run(command: list[str], **options: Any) -> None:
    """Run a command to its end. If interrupted, give it 60 s to stop its own processes."""
    sys.stdout.flush()
    with subprocess.Popen(command, **options) as process:
        try:
            exit_code = process.wait()
        except BaseException:
            process.terminate()
            process.wait(timeout=60)
            raise
    if exit_code != 0:
        raise SystemExit(exit_code)


if __name__ == "__main__":
    try:
        with interrupted_once():
            sys.exit(main())
    except KeyboardInterrupt:
        console.print("Interrupted; nothing was left running.")
        sys.exit(130)
