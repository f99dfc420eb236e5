"""Stage times of a server's requests, from the server's metrics before and after a load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import conventions as names
from .profile_record import StageTime

_GPU = names.METRIC_MODEL_GPU.replace(".", "_") + "_seconds"
_STAGE = names.METRIC_STAGE_DURATION.replace(".", "_") + "_seconds"
# The monitor's metric first: BentoML's series counts the batches of the monitor's dispatcher too.
_BATCHES = (names.METRIC_BATCH_SIZE.replace(".", "_"), "bentoml_service_adaptive_batch_size")


@dataclass(frozen=True, slots=True)
class MetricTotals:
    """Totals since the server's start: sum and count of a route's stages and of batch sizes, and GPU seconds."""

    stages: Mapping[str, tuple[float, float]]
    batches: tuple[float, float]
    gpu_s: float


def read_totals(text: str, route: str) -> MetricTotals | None:
    """Read the totals from the text of `/metrics`; None if it has neither stages nor batch sizes."""
    from prometheus_client.parser import text_string_to_metric_families

    stages: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    batches = {name: [0.0, 0.0] for name in _BATCHES}
    gpu_s = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            kind = {"_sum": 0, "_count": 1}.get(sample.name[len(family.name) :])
            if kind is None:
                continue
            if family.name == _STAGE and sample.labels["route"] == route:
                stages[sample.labels["stage"]][kind] += sample.value
            elif family.name in batches:
                batches[family.name][kind] += sample.value
            elif family.name == _GPU and kind == 0:
                gpu_s += sample.value
    rows, count = next((each for each in batches.values() if each[1]), (0.0, 0.0))
    if not stages and not count:
        return None
    return MetricTotals({stage: (each[0], each[1]) for stage, each in stages.items()}, (rows, count), gpu_s)


def stages_between(before: MetricTotals | None, after: MetricTotals | None) -> tuple[StageTime, ...]:
    """Return the mean of each stage, in order of the stages, over the requests that ended between two readings."""
    if after is None:
        return ()
    found = []
    for stage in names.STAGES:
        name = stage.removeprefix("bento_monitor.stage.").removesuffix("_ns")
        total_s, count = after.stages.get(name, (0.0, 0.0))
        earlier_s, earlier = before.stages.get(name, (0.0, 0.0)) if before is not None else (0.0, 0.0)
        if count > earlier:
            found.append(StageTime(name, (total_s - earlier_s) / (count - earlier) * 1e3, int(count - earlier)))
    return tuple(found)


def stages_around(totals: NDArray[np.int64], latency_ms: float) -> tuple[StageTime, ...]:
    """Return the stages of a server that reports none, from the probe's totals and the client's latency.

    Args:
        totals: totals of the requests, shape (5,): their number, and the sums of their ns in all, in parsing, in the
            call and in serializing.
        latency_ms: mean latency that the client measured.
    """
    requests = int(totals[0])
    application_ms, parse_ms, call_ms, serialize_ms = (float(each) / requests / 1e6 for each in totals[1:])
    outside_ms = max(latency_ms - application_ms, 0.0)
    found = {"outside the application": outside_ms}
    if call_ms:
        rest_ms = max(application_ms - parse_ms - call_ms - serialize_ms, 0.0)
        found |= {"parse": parse_ms, "wait and function": call_ms, "serialize": serialize_ms, "framework": rest_ms}
    else:
        found["application"] = application_ms
    return tuple(StageTime(name, mean_ms, requests) for name, mean_ms in found.items())


def batch_size_between(before: MetricTotals | None, after: MetricTotals | None) -> float | None:
    """Return the mean batch size between two readings; None if there were no batches."""
    if after is None:
        return None
    earlier = before.batches if before is not None else (0.0, 0.0)
    batches = after.batches[1] - earlier[1]
    return (after.batches[0] - earlier[0]) / batches if batches > 0 else None


def gpu_ms_between(before: MetricTotals | None, after: MetricTotals | None, requests: int) -> float | None:
    """Return the GPU milliseconds per request between two readings; None if the GPUs computed nothing."""
    if after is None or not requests:
        return None
    gpu_s = after.gpu_s - (before.gpu_s if before is not None else 0.0)
    return gpu_s / requests * 1e3 if gpu_s > 0 else None
