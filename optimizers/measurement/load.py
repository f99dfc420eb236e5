"""The load of a study: its samples as single requests, in the same seeded random order for every arm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.loadgen import LoadResult, LoadSpec, run_load

from ..accuracy.sameness import AnswerCheck
from .bodies import served_answers

# Of a fast service's answers, one in eight is checked; of a slow one's more, so that a block has some 64 of them.
_MAX_CHECK_EVERY = 8
_CHECKED_PER_BLOCK = 64
_ALONE_WARMUP_REQUESTS = 3


@dataclass(frozen=True, slots=True)
class StudyLoad:
    """The path, bodies and connections of a study's requests; `bodies` is a file, so that it is written only once.

    One in `check_every` answers is kept, to be checked.
    """

    path: str
    bodies: Path
    content_type: str
    connections: int
    seed: int
    check_every: int

    def spec(self, port: int, duration_s: float, warmup_s: float = 0.0) -> LoadSpec:
        """Return a closed-loop load on a port."""
        return LoadSpec(
            port=port,
            path=self.path,
            bodies=self.bodies,
            mode="closed",
            connections=self.connections,
            duration_s=duration_s,
            warmup_s=warmup_s,
            seed=self.seed,
            keep_every=self.check_every,
            headers=(("Content-Type", self.content_type),),
        )

    def alone(self, port: int, duration_s: float, warmup_s: float) -> LoadSpec:
        """Return the load of a lone client, which sends each request as soon as the previous one is answered."""
        return replace(self.spec(port, duration_s, warmup_s), connections=1)

    def alone_for(self, port: int, requests: int) -> LoadSpec:
        """Return the load of a lone client with a fixed number of requests and no time limit."""
        return replace(self.alone(port, 1.0, 0.0), duration_s=None, request_count=requests)

    def warm_up_alone(self, port: int) -> LoadSpec:
        """Return a few requests of a lone client, so that torch.compile and the like compile for a batch of one."""
        return self.alone_for(port, _ALONE_WARMUP_REQUESTS)

    def open(self, port: int, duration_s: float, warmup_s: float, *, rate_rps: float, seed: int) -> LoadSpec:
        """Return an open-loop load with Poisson arrivals; another `seed` draws other arrivals."""
        closed = self.spec(port, duration_s, warmup_s)
        return replace(closed, mode="open", rate_rps=rate_rps, arrivals="poisson", seed=self.seed + seed)

    def warm_up(self, port: int, batches: int) -> LoadSpec:
        """Return the load that fills a number of batches, each with one request per connection."""
        return replace(self.spec(port, 1.0), duration_s=None, request_count=batches * self.connections)


def check_every(rate_rps: float, block_s: float) -> int:
    """Return of how many answers one is checked, in blocks of `block_s` seconds at about `rate_rps`."""
    return min(max(int(rate_rps * block_s / _CHECKED_PER_BLOCK), 1), _MAX_CHECK_EVERY)


def measure(load: StudyLoad, port: int, check: AnswerCheck, duration_s: float, warmup_s: float = 0.0) -> LoadResult:
    """Run the load and check the kept answers.

    Raises:
        MeasurementError: a kept answer is not 2xx, or the answers are not from the expected model.
    """
    return measure_spec(load.spec(port, duration_s, warmup_s), check)


def measure_spec(spec: LoadSpec, check: AnswerCheck) -> LoadResult:
    """Run any load of a study and check the kept answers.

    Raises:
        MeasurementError: a kept answer is not 2xx, or the answers are not from the expected model.
    """
    result = run_load(spec)
    kept = {request: body for request, body in result.responses.items() if result.is_ok[request]}
    failed = len(result.responses) - len(kept)
    if failed:
        raise MeasurementError(
            f"{failed} of {len(result.responses)} checked answers were not 2xx: the measurement does not count."
        )
    verdict = check.judge(served_answers(kept, result.body_index, check.reference))
    if not verdict.is_same_model:
        raise MeasurementError(f"{verdict.sentence} The measurement does not count.")
    return result


def block_rate_rps(result: LoadResult) -> float:
    """Return the requests per second answered with 2xx, from the start of the window to the last answer.

    A fixed end would quantize the rate of a server that answers in batches: with 32 clients answered at once, about
    once per second, a rate over 5 s would be a multiple of 6.4. The time of the last answer avoids this. A closed load
    stays at full concurrency until that time.

    Raises:
        MeasurementError: no request was answered with 2xx.
    """
    is_counted = result.is_ok & (result.done_ns >= result.window_start_ns)
    if not is_counted.any():
        raise MeasurementError("No request was answered with 2xx, so there is no rate.")
    elapsed_ns = int(result.done_ns[is_counted].max()) - result.window_start_ns
    return float(is_counted.sum()) * 1e9 / elapsed_ns


def latencies_us(result: LoadResult) -> list[int]:
    """Return the latency in microseconds of each answered request of the window, from its dispatch.

    The client's own delay before the dispatch is left out: it is the same for all arms, and would bring their ratio
    closer to 1.
    """
    counted = result.is_in_window & result.is_ok
    latencies: list[int] = ((result.done_ns - result.dispatched_ns)[counted] // 1000).tolist()
    return latencies


def latency_percentile_ms(result: LoadResult, percentile: float) -> float:
    """Return a nearest-rank percentile of latency, counted from the planned time, of the window's answered requests.

    A high percentile of few requests is only their slowest one: a p99 needs at least 100 requests.
    """
    latency_ms = result.latency_ns[result.is_in_window & result.is_ok] / 1e6
    return float(np.percentile(latency_ms, percentile, method="inverted_cdf"))
