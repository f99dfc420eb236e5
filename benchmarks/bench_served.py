"""`make bench-served`: a service served by stock BentoML and by us, and a no-op by others, interleaved in one run."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from result import Figure, write_result
from wrk import Block, require_wrk, run_block

from bento_monitor.loadgen import LoadSpec, run_load
from bento_monitor.serving.ports import free_port
from bento_monitor.serving.process import start_servers
from bento_monitor.serving.spec import ServerSpec
from bento_monitor.statistics.blocks import interleave
from bento_monitor.statistics.paired import compare_paired

SERVICES = Path(__file__).parent
STOCK, AGAIN, OURS = "stock", "stock again", "ours"
OTHERS = {
    "fastapi": ["-m", "uvicorn", "served_fastapi:app", "--port"],
    "litserve": ["served_litserve.py"],
}
ARRAY = np.random.default_rng(2).normal(size=(8, 64)).astype(np.float32).round(3).tolist()
BODIES = {
    "noop": {"x": 3},
    "embedding": {"text": "what the service is asked"},
    "array": {"a": ARRAY},
    "batched": {"xs": [3]},
    "model_1ms": {"x": 3},
    "model_5ms": {"x": 3},
}
GOALS = {"noop": 4.0, "embedding": 3.0, "array": 3.0, "batched": 3.0}
CHECKED = 100


@dataclass(frozen=True, slots=True)
class Arm:
    """A server that runs; `processes` are those whose CPU time is its own."""

    port: int
    processes: tuple[psutil.Process, ...]

    def cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", default=",".join(BODIES), help="some of %(default)s")
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=5, help="length of a block")
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    require_wrk()
    workloads = options.workloads.split(",")
    raw: dict[str, dict[str, list[dict[str, float]]]] = {}
    figures: dict[str, Figure] = {}
    with arms() as running:
        for workload in workloads:
            names = [STOCK, AGAIN, OURS, *(OTHERS if workload == "noop" else [])]
            blocks = measure({name: running[name] for name in names}, workload, options)
            raw[workload] = {name: [asdict(block) for block in found] for name, found in blocks.items()}
            figures |= figures_of(workload, blocks)
    write_result("served", figures, raw)
    return 0 if all(figure.met is not False for figure in figures.values()) else 1


@contextmanager
def arms() -> Iterator[dict[str, Arm]]:
    """Every server, up at once: those that are not asked take no time from the one that is."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-served-")))
        sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
        specs = [
            ServerSpec(
                target="served_plain:Served",
                working_dir=SERVICES,
                as_="monitored" if name == OURS else "stock",
                env=sampler if name == OURS else {},
                home=home / name.replace(" ", "-"),
                log=home / f"{name.replace(' ', '-')}.log",
            )
            for name in (STOCK, AGAIN, OURS)
        ]
        servers = stack.enter_context(start_servers(specs))
        found = {
            name: Arm(server.port, tuple(psutil.Process(pid) for pid in server.worker_pids()))
            for name, server in zip((STOCK, AGAIN, OURS), servers, strict=True)
        }
        for name, arguments in OTHERS.items():
            found[name] = stack.enter_context(other(arguments, home / f"{name}.log"))
        yield found


@contextmanager
def other(arguments: Sequence[str], log: Path) -> Iterator[Arm]:
    """Another framework's server in its default configuration, its access log on as BentoML's is."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments, str(port)], cwd=SERVICES, stdout=output, stderr=output, start_new_session=True
        )
        try:
            wait_until_ready(port, log)
            parent = psutil.Process(process.pid)
            yield Arm(port, (parent, *parent.children(recursive=True)))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_ready(port: int, log: Path) -> None:
    deadline_s = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline_s:
                raise SystemExit(f"A server was not ready in time:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.1)


def measure(running: Mapping[str, Arm], workload: str, options: argparse.Namespace) -> dict[str, list[Block]]:
    """Blocks of every arm, in random order within each round; a block beside a wrong answer counts as failed."""
    body = json.dumps(BODIES[workload])
    expected = answers(running[STOCK], workload)[0]
    found: dict[str, list[Block]] = {name: [] for name in running}
    for arm in running.values():  # stock's dispatcher is in training for its first 11 batches
        run_block(f"http://127.0.0.1:{arm.port}/{workload}", body, options.connections, 2, arm.cpu_seconds)
    for order in interleave(list(running), options.blocks, seed=0):
        for name in order:
            arm = running[name]
            url = f"http://127.0.0.1:{arm.port}/{workload}"
            before = answers(arm, workload)
            block = run_block(url, body, options.connections, options.seconds, arm.cpu_seconds)
            wrong = sum(answer != expected for answer in (*before, *answers(arm, workload)))
            if wrong or block.failed:
                raise SystemExit(f"{name}, {workload}: {wrong} wrong answers, {block.failed} failed requests.")
            found[name].append(block)
            print(f"{workload:10} {name:12} {block.rps:9.0f} requests/s  p99 {block.p99_ms:8.2f} ms", flush=True)
    return found


def answers(arm: Arm, workload: str) -> list[bytes]:
    spec = LoadSpec(
        port=arm.port,
        path=f"/{workload}",
        bodies=(json.dumps(BODIES[workload]).encode(),),
        mode="closed",
        connections=4,
        request_count=CHECKED,
        keep_every=1,
    )
    return list(run_load(spec).responses.values())


def figures_of(workload: str, blocks: Mapping[str, Sequence[Block]]) -> dict[str, Figure]:
    rates = {name: [block.rps for block in found] for name, found in blocks.items()}
    ours, itself = compare_paired(rates[OURS], rates[STOCK]), compare_paired(rates[AGAIN], rates[STOCK])
    goal = GOALS.get(workload)
    cpu = {name: float(np.median([block.cpu_us for block in found])) for name, found in blocks.items()}
    wanted, is_met = (None, None) if goal is None else (f"lower end >= {goal:g}", ours.low >= goal)
    figures = {
        f"throughput_vs_stock_{workload}": Figure(ours.ratio, "ratio", ours.ci95, wanted, is_met),
        f"aa_ratio_{workload}": Figure(itself.ratio, "ratio", itself.ci95, "holds 1", itself.low <= 1 <= itself.high),
        f"cpu_us_stock_{workload}": Figure(cpu[STOCK], "us/request"),
        f"cpu_us_ours_{workload}": Figure(cpu[OURS], "us/request"),
    }
    if workload.startswith("model_"):
        work_us = float(workload.removeprefix("model_").removesuffix("ms")) * 1e3
        least = {"model_1ms": 0.80, "model_5ms": 0.90}[workload]
        share = work_us / cpu[OURS]
        name = f"served_over_bare_{workload.removeprefix('model_')}"
        figures[name] = Figure(share, "ratio", None, f">= {least:g}", share >= least)
    if workload == "noop":
        tails = {name: [block.p99_ms for block in found] for name, found in blocks.items()}
        tail = compare_paired(tails[OURS], tails[STOCK])
        figures["p99_vs_stock_noop"] = Figure(tail.ratio, "ratio", tail.ci95, "<= 0.10", tail.ratio <= 0.10)
        fastapi, litserve = (compare_paired(rates[OURS], rates[name]) for name in OTHERS)
        is_met = fastapi.low >= 1.0
        figures["throughput_vs_fastapi_noop"] = Figure(fastapi.ratio, "ratio", fastapi.ci95, ">= 1.0", is_met)
        figures["throughput_vs_litserve_noop"] = Figure(litserve.ratio, "ratio", litserve.ci95)
    return figures


if __name__ == "__main__":
    sys.exit(main())
