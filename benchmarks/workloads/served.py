"""A workload served by stock BentoML and by us with its release: blocks in turn, and the metric of served answers."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from demo_swap import ApiLoad, largest_difference
from example_run import COMMAND
from numpy.typing import NDArray
from workloads.releases import CONNECTIONS, Released

from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.loadgen import run_load
from bento_monitor.lab.loadgen.packing import read_bodies, write_bodies
from bento_monitor.lab.model_host.answer_values import Answers, collect_values, value_of
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.lab.statistics.blocks import interleave
from optimizers.accuracy.compare import AccuracyResult, compare_accuracy
from optimizers.accuracy.groups import group_numbers
from optimizers.accuracy.metrics import parse_metric
from optimizers.accuracy.reading import choose_reading
from optimizers.accuracy.text_changes import texts_differ
from optimizers.data.read import read_data
from optimizers.measurement.load import block_rate_rps

STOCK, AGAIN, OURS = "stock", "stock again", "ours"
WARM_UP_S = 2.0
# A block of a slow service is longer than asked, such that stock answers about this many requests of each connection:
# else all of a block's answers could be those of one batch, or none.
ANSWERS_PER_CONNECTION = 3
PROBES = 32
# The metric is taken of as many samples as stock answers in this time, but not of fewer than the least number; of all
# if they belong together in groups.
JUDGED_S, LEAST_JUDGED = 90.0, 300


@dataclass(frozen=True, slots=True)
class Block:
    """One block of an arm: requests that were answered rightly, wrongly, and with which other statuses."""

    rps: float
    right: int
    wrong: int
    failures: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """The blocks of each arm, and the metric of the answers that stock and we served to the same requests."""

    blocks: Mapping[str, Sequence[Block]]
    block_s: float
    accuracy: AccuracyResult


def measure(found: Released, blocks: int, seconds: float) -> Measured:
    """Serve a workload, and measure blocks of each arm, each round in its own order."""
    with tempfile.TemporaryDirectory(prefix="bench-workloads-") as folder, ExitStack() as stack:
        data = _read(found, Path(folder))
        loads = {
            name: replace(data.load, port=stack.enter_context(served(found, name, Path(folder))))
            for name in (STOCK, AGAIN, OURS)
        }
        for load in loads.values():
            run_load(load.closed(CONNECTIONS, duration_s=WARM_UP_S))
        stock_rps = block_rate_rps(run_load(loads[STOCK].closed(CONNECTIONS, request_count=PROBES)))
        judged = data.judged(max(int(JUDGED_S * stock_rps), LEAST_JUDGED))
        answers = {name: _all_answers(loads[name], judged) for name in (STOCK, OURS)}
        expected = {**answers, AGAIN: answers[STOCK]}
        seconds = max(seconds, ANSWERS_PER_CONNECTION * CONNECTIONS / stock_rps)
        measured: dict[str, list[Block]] = {name: [] for name in loads}
        for order in interleave(list(loads), blocks, seed=0):
            for name in order:
                block = _block(loads[name], seconds, expected[name], found)
                measured[name].append(block)
                print(f"{found.workload.key:32} {name:12} {block.rps:8.1f} requests/s, {block.wrong} wrong", flush=True)
    return Measured(measured, seconds, _compare(found, data, judged, answers))


@dataclass(frozen=True, slots=True)
class _Data:
    load: ApiLoad
    count: int
    labels: NDArray[Any] | None
    groups: NDArray[Any] | None

    def judged(self, most: int) -> NDArray[np.int64]:
        """Return the rows of which the metric is taken: all, or about `most` of them, drawn at random."""
        if self.groups is not None or self.count <= most:
            return np.arange(self.count)
        return np.sort(np.random.default_rng(0).permutation(self.count)[:most])


def _read(found: Released, folder: Path) -> _Data:
    example = found.workload.example
    with ModelHost(example.service, example.folder, found.full_environment) as host:
        (api,) = (each for each in host.describe().apis if each.name == example.api)
    requests = read_data(found.files / example.data).requests_for(api)[0]
    write_bodies(folder / "bodies.npz", requests.bodies)
    load = ApiLoad(0, api.route, folder / "bodies.npz", requests.content_type)
    return _Data(load, len(requests.bodies), requests.labels, requests.groups)


@contextmanager
def served(found: Released, arm: str, folder: Path) -> Iterator[int]:
    """Serve an arm with one worker, ours with the release; return the port."""
    example = found.workload.example
    env = {**found.environment, "AUDIT_DIR": str(folder / f"audit-{arm}")}
    if arm != OURS:
        env |= {"BENTOML_HOME": str(folder / arm), "BENTO_MONITOR_HOME": str(folder / arm)}
    spec = ServerSpec(
        target=example.service if arm == OURS else example.baseline,
        working_dir=example.folder,
        as_="monitored" if arm == OURS else "stock",
        workers=1,
        service_name=example.service.partition(":")[2],
        env=env,
        log=folder / f"{arm}.log",
    )
    with start_server(spec) as server:
        if arm == OURS and found.release is not None:
            command = [COMMAND, "release", "promote", found.release]
            subprocess.run(command, env={**found.full_environment, **env}, check=True, stdout=subprocess.DEVNULL)
        yield server.port


def _all_answers(load: ApiLoad, rows: NDArray[np.int64]) -> dict[int, Any]:
    """Return the answer to each of the rows, by row, from batches as the load forms them."""
    bodies = read_bodies(load.bodies)
    chosen = tuple(bodies[row] for row in rows.tolist())
    result = run_load(load.closed(CONNECTIONS, bodies=chosen, request_count=len(chosen), keep_every=1, timeout_s=120.0))
    found = {int(rows[result.body_index[at]]): value_of(body) for at, body in result.responses.items()}
    missing = len(rows) - len(found)
    if missing or not result.is_ok.all():
        raise BentoMonitorError(f"{missing} of {len(rows)} requests were not answered: {result.failures}.")
    return found


def _block(load: ApiLoad, seconds: float, expected: Mapping[int, Any], found: Released) -> Block:
    result = run_load(load.closed(CONNECTIONS, duration_s=seconds, keep_every=1, timeout_s=120.0))
    counted = result.is_ok & (result.done_ns >= result.window_start_ns)
    wrong = sum(
        not _is_right(value_of(result.responses[at]), expected.get(int(result.body_index[at])), found)
        for at in np.flatnonzero(counted).tolist()
    )
    right = int(counted.sum()) - wrong
    if right == 0:
        raise BentoMonitorError(f"{found.workload.key}: all {wrong} answers of a block were wrong.")
    return Block(block_rate_rps(result) * right / (right + wrong), right, wrong, result.failures)


def _is_right(answer: Any, expected: Any, found: Released) -> bool:
    """Whether an answer is that of the full pass, up to what the company of a batch may change."""
    if expected is None:  # a row that was not judged
        return True
    example = found.workload.example
    if isinstance(answer, list) and all(isinstance(text, str) for text in answer):
        return len(answer) == len(expected) and not any(map(texts_differ, expected, answer))
    return largest_difference(answer, expected, example.varying) <= example.batch_tolerance


def _compare(
    found: Released, data: _Data, rows: NDArray[np.int64], answers: Mapping[str, Mapping[int, Any]]
) -> AccuracyResult:
    """Compare the metric of our answers with that of stock's, to the same requests."""
    example = found.workload.example
    metric = parse_metric(example.metric, example.folder)
    own: dict[str, Answers] = {
        name: collect_values([answers[name][row] for row in rows.tolist()]) for name in (STOCK, OURS)
    }
    labels = None if data.labels is None else data.labels[rows]
    groups = None if data.groups is None else group_numbers(data.groups[rows])
    asked = example.option("--output")
    reading = choose_reading(own[STOCK], labels, metric, asked)
    return compare_accuracy(own[STOCK], own[OURS], labels, metric, reading, groups=groups)
