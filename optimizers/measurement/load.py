"""The load of a study: its samples as single requests, in one seeded random order for every arm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.loadgen import LoadResult, LoadSpec, run_load

from ..accuracy.sameness import AnswerCheck
from .bodies import served_answers

_CHECK_EVERY = 8
_ALONE_WARMUP_REQUESTS = 3


@dataclass(frozen=True, slots=True)
class StudyLoad:
    """Where the requests go and what they carry; `bodies` is a file, so that it is written once."""

    path: str
    bodies: Path
    content_type: str
    connections: int
    seed: int

    def spec(self, port: int, duration_s: float, warmup_s: float = 0.0) -> LoadSpec:
        """A closed load on a port."""
        return LoadSpec(
            port=port,
            path=self.path,
            bodies=self.bodies,
            mode="closed",
            connections=self.connections,
            duration_s=duration_s,
            warmup_s=warmup_s,
            seed=self.seed,
            keep_every=_CHECK_EVERY,
            headers=(("Content-Type", self.content_type),),
        )

    def alone(self, port: int, duration_s: float, warmup_s: float) -> LoadSpec:
        """A lone client, who asks again as soon as it has its answer."""
        return replace(self.spec(port, duration_s, warmup_s), connections=1)

    def alone_for(self, port: int, requests: int) -> LoadSpec:
        """So many requests of a lone client, however long they take."""
        return replace(self.alone(port, 1.0, 0.0), duration_s=None, request_count=requests)

    def warm_up_alone(self, port: int) -> LoadSpec:
        """A few requests alone: what compiles for each shape, as torch.compile, does so at the first of them."""
        return self.alone_for(port, _ALONE_WARMUP_REQUESTS)

    def open(self, port: int, duration_s: float, warmup_s: float, *, rate_rps: float, seed: int) -> LoadSpec:
        """An open load of Poisson arrivals; another seed draws other arrivals."""
        closed = self.spec(port, duration_s, warmup_s)
        return replace(closed, mode="open", rate_rps=rate_rps, arrivals="poisson", seed=self.seed + seed)

    def warm_up(self, port: int, batches: int) -> LoadSpec:
        """As many requests as fill that many batches of all connections."""
        return replace(self.spec(port, 1.0), duration_s=None, request_count=batches * self.connections)


def measure(load: StudyLoad, port: int, check: AnswerCheck, duration_s: float, warmup_s: float = 0.0) -> LoadResult:
    """Run the load and check the answers that were kept.

    Raises:
        MeasurementError: an answer is wrong.
    """
    return measure_spec(load.spec(port, duration_s, warmup_s), check)


def measure_spec(spec: LoadSpec, check: AnswerCheck) -> LoadResult:
    """Run any load of a study and check the answers that were kept.

    Raises:
        MeasurementError: answers are not 2xx, or are not those of the model that should have answered.
    """
    result = run_load(spec)
    kept = {request: body for request, body in result.responses.items() if result.is_ok[request]}
    refused = len(result.responses) - len(kept)
    if refused:
        raise MeasurementError(
            f"{refused} of {len(result.responses)} answers that were checked were not 2xx: nothing is counted."
        )
    verdict = check.judge(served_answers(kept, result.body_index, check.reference))
    if not verdict.is_same_model:
        raise MeasurementError(f"{verdict.sentence} Nothing is counted.")
    return result


def block_rate_rps(result: LoadResult) -> float:
    """Requests per second answered with 2xx, from the window's start to the last answer.

    A server that answers in batches answers 32 clients at once, some once a second: counted to a fixed end, its rate in
    5 s would be a multiple of 6.4. To the last answer it is exact; a closed load is in full swing until then.

    Raises:
        MeasurementError: nothing was answered.
    """
    is_counted = result.is_ok & (result.done_ns >= result.window_start_ns)
    if not is_counted.any():
        raise MeasurementError("No request was answered with 2xx, so there is no rate.")
    elapsed_ns = int(result.done_ns[is_counted].max()) - result.window_start_ns
    return float(is_counted.sum()) * 1e9 / elapsed_ns


def latencies_us(result: LoadResult) -> list[int]:
    """Microseconds of each answered request of the window, from when the client came to it.

    The client's own lateness is equal for all that is compared, and would hide a part of the ratio.
    """
    counted = result.is_in_window & result.is_ok
    latencies: list[int] = ((result.done_ns - result.dispatched_ns)[counted] // 1000).tolist()
    return latencies


def latency_percentile_ms(result: LoadResult, percentile: float) -> float:
    """A percentile of the window's answered requests, counted from the planned time, by the nearest rank."""
    latency_ms = result.latency_ns[result.is_in_window & result.is_ok] / 1e6
    return float(np.percentile(latency_ms, percentile, method="inverted_cdf"))
