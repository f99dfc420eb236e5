"""The demo of an example: serve, trace, optimize and promote its model, under load.

Its files are in `.bento-monitor/demo/EXAMPLE` in the current folder; the report is `demo-report.json` of semantic
search, and `demo-report-EXAMPLE.json` of another example. With `--short`, the release is made without a search, on a
small part of the data, and nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bento_monitor.cli.exits import interrupted_once
from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.loadgen import run_load, summarize
from bento_monitor.lab.loadgen.packing import write_bodies
from bento_monitor.lab.model_host.answer_values import read_answered_rows, read_answers
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from optimizers.data.read import read_data
from rich.console import Console

from demo_report import print_report, problems_of, swap_problems_of, write_report
from demo_swap import ApiLoad, SwapReport, answers_alone, capacity_rps, largest_difference, swap_under_load
from example_run import COMMAND, run_environment, search_command
from example_spec import Example, ExampleError, example_files, example_names, read_example
from field_report import field_figures, goodput_rps
from short_release import make_short_release

DEFAULT = "semantic_search"
PROBES = 50
SHOWN_PER_SHORT = 10
SHORT_BEFORE_S, SHORT_PROBATION_S = 1.0, "2"

console = Console()


def main() -> int:
    """Run the demo that the arguments name; return 0 if all checks passed. Speed is not checked."""
    parser = argparse.ArgumentParser(description="Serve, trace, optimize and promote the model of an example.")
    parser.add_argument("example", nargs="?", default=DEFAULT, choices=example_names())
    parser.add_argument("--short", action="store_true", help="Without a search, on a small part of the data.")
    arguments = parser.parse_args()
    try:
        demo = _Demo(read_example(arguments.example), is_short=arguments.short)
        return demo.run_short() if arguments.short else demo.run()
    except (ExampleError, BentoMonitorError) as error:
        console.print(f"FAILED: {error}", style="bold red", highlight=False)
        return 1


@dataclass(frozen=True, slots=True)
class _Api:
    route: str
    content_type: str


class _Demo:
    def __init__(self, example: Example, *, is_short: bool) -> None:
        self._example = example
        self._folder = Path(f".bento-monitor/demo/{example.name}{'-short' if is_short else ''}").resolve()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        files = example_files(example, is_short=is_short)
        os.environ.update(run_environment(files, self._folder))
        self._data = files / example.data
        self._bodies = self._folder / "bodies.npz"
        self._api = self._write_bodies()

    def run(self) -> int:
        """Run the whole demo; return 0 if all checks passed."""
        started_s = time.monotonic()
        with self._served() as server:
            self._show_traces(server, SHOWN_PER_SHORT * self._example.short_requests)
            found = self._optimize()
            winner = f"winner-{found['release'].rpartition('-')[2]}"
            (answers,) = self._folder.glob(f"studies/*/answers/{winner}-alone.npz")
            report = self._swap(server, found, answers)
            report["field"] = {
                arm: field_figures(self._example, self._data, answers.with_name(f"{name}.npz"))
                for arm, name in (("baseline", "baseline"), ("optimized", f"{winner}-anew"))
            }
        path = self._report_path()
        print_report(console, self._example.title, report)
        write_report(path, report)
        console.print(f"Written to {path}, after {(time.monotonic() - started_s) / 60:.1f} minutes.")
        return self._show_problems(problems_of(report))

    def run_short(self) -> int:
        """Serve, trace, and promote a release that no search found; return 0 if all checks passed."""
        with self._served(BENTO_MONITOR_RELEASE_PROBATION_S=SHORT_PROBATION_S) as server:
            self._show_traces(server, self._example.short_requests)
            self._print_heading("3. Build an ONNX file of the model, and check its accuracy")
            release = make_short_release(self._example, self._data, self._folder / "study")
            accuracy = release.accuracy
            console.print(
                f"{self._example.metric} {accuracy.baseline:.4f}, of the ONNX file {accuracy.candidate:.4f}, on "
                f"{accuracy.n} samples"
            )
            self._print_heading("4. Promote it into the running server, under load")
            rate_rps = self._example.short_rps
            before_s = max(SHORT_BEFORE_S, 2 / rate_rps)  # at least one request
            swap = swap_under_load(self._load(server), release.name, rate_rps, before_s, after_s=1.0)
            report = self._swap_fields(server, swap, release.own_answers)
        console.print(f"{swap.requests} requests during the swap, {swap.failed} failed.")
        return self._show_problems(swap_problems_of(report))

    def _served(self, **env: str) -> Any:
        self._print_heading(f"1. Serve {self._example.title.lower()}, monitored by its own lines of code")
        spec = ServerSpec(
            target=self._example.service,
            working_dir=self._example.folder,
            as_="monitored",
            env=env,
            log=self._folder / "server.log",
        )
        return start_server(spec)

    def _show_traces(self, server: ServerProcess, requests: int) -> None:
        console.print(f"{server.base_url}, {len(server.worker_pids())} worker(s), log in {self._folder / 'server.log'}")
        self._print_heading("2. Send requests, and show the slowest")
        summary = summarize(run_load(self._load(server).closed(16, request_count=requests)))
        console.print(f"{summary.ok} requests answered, {summary.failed} failed, p50 {summary.p50_ms:.0f} ms")
        if summary.failed:
            raise ExampleError(f"{summary.failed} of {requests} requests failed: see {self._folder / 'server.log'}.")
        time.sleep(1.5)  # the pipeline exports spans twice per second
        _run([COMMAND, "traces", "--limit", "5"])
        listed = subprocess.run(
            [COMMAND, "traces", "--limit", "1", "--json"], capture_output=True, text=True, check=True
        )
        _run([COMMAND, "traces", json.loads(listed.stdout)[0]["trace_id"]])

    def _optimize(self) -> dict[str, Any]:
        example = self._example
        self._print_heading(
            f"3. Find the fastest configuration that keeps {example.metric} within {example.max_drop:g}"
        )
        command = search_command(example, self._data, self._folder)
        console.print("bento-monitor " + " ".join(command[1:]), highlight=False, soft_wrap=True)
        result = self._folder / "optimize.json"
        with result.open("w") as output:
            _run(command, cwd=example.folder, stdout=output)
        found: dict[str, Any] = json.loads(result.read_text())
        console.print(f"Found: {found['candidate']}", highlight=False)
        return found

    def _swap(self, server: ServerProcess, found: dict[str, Any], own_answers: Path) -> dict[str, Any]:
        self._print_heading("4. Promote it into the running server, under load")
        load = self._load(server)
        capacity = capacity_rps(load, 6.0)
        before = self._goodput(load, capacity)
        console.print(f"The running server answers {capacity:.0f} requests/s; load is half of that.")
        swap = swap_under_load(load, found["release"], capacity / 2)
        console.print(f"{swap.requests} requests during the swap, {swap.failed} failed.")
        fields = self._swap_fields(server, swap, own_answers)
        after_swap_rps = capacity_rps(load, 10.0)
        return {
            **{key: value for key, value in found.items() if key not in ("machine", "versions")},
            **fields,
            "after_swap_rps": after_swap_rps,
            "goodput_slo": self._example.goodput_slo or None,
            "goodput_per_minute_before_swap": before,
            "goodput_per_minute_after_swap": self._goodput(load, after_swap_rps),
            "machine": found["machine"],
            "versions": found["versions"],
        }

    def _swap_fields(self, server: ServerProcess, swap: SwapReport, own_answers: Path) -> dict[str, Any]:
        """Describe the swap, and compare the server's answers with the release's own, both from batches of one."""
        rows = read_answered_rows(own_answers)[:PROBES]
        served = answers_alone(self._load(server), rows)
        difference = largest_difference(served, read_answers(own_answers)[:PROBES], self._example.varying)
        return {
            "requests_during_swap": swap.requests,
            "failed_during_swap": swap.failed,
            "slowest_during_swap_ms": swap.slowest_ms,
            "slowest_before_swap_ms": swap.slowest_before_ms,
            "swap_rate_rps": swap.rate_rps,
            "workers": swap.workers,
            "workers_on_release": swap.workers_on_release,
            "answers_after_swap_max_abs_difference": difference,
            "answers_after_swap_tolerance": self._example.answer_tolerance,
        }

    def _goodput(self, load: ApiLoad, capacity: float) -> float | None:
        """Return the requests a minute that the server answers within the example's limit; None if it has none."""
        if not self._example.goodput_slo:
            return None
        return 60 * goodput_rps(load, self._example.goodput_slo, capacity)

    def _load(self, server: ServerProcess) -> ApiLoad:
        return ApiLoad(server.port, self._api.route, self._bodies, self._api.content_type)

    def _write_bodies(self) -> _Api:
        """Write the samples as requests, as the optimizer would send them."""
        with ModelHost(self._example.service, self._example.folder) as host:
            (api,) = (each for each in host.describe().apis if each.name == self._example.api)
        requests = read_data(self._data).requests_for(api)[0]
        write_bodies(self._bodies, requests.bodies)
        return _Api(api.route, requests.content_type)

    def _report_path(self) -> Path:
        name = self._example.name
        return Path("demo-report.json" if name == DEFAULT else f"demo-report-{name}.json")

    def _print_heading(self, text: str) -> None:
        console.rule(f"[bold]{text}", align="left")

    def _show_problems(self, problems: list[str]) -> int:
        for problem in problems:
            console.print(f"FAILED: {problem}", style="bold red")
        return 1 if problems else 0


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
