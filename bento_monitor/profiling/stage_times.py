"""Where the time of a server's requests goes, from its own metrics before and after a load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from .. import conventions as names
from .record import StageTime

_STAGE = names.METRIC_STAGE_DURATION.replace(".", "_") + "_seconds"
_BATCH = names.METRIC_BATCH_SIZE.replace(".", "_")


@dataclass(frozen=True, slots=True)
class MetricTotals:
    """Sum and count of a route's stages, and of batch sizes, since the server's start."""

    stages: Mapping[str, tuple[float, float]]
    batches: tuple[float, float]


def read_totals(text: str, route: str) -> MetricTotals | None:
    """Read what `/metrics` says; None where it has none of ours."""
    from prometheus_client.parser import text_string_to_metric_families

    stages: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    batches = [0.0, 0.0]
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            kind = {"_sum": 0, "_count": 1}.get(sample.name[len(family.name) :])
            if kind is None:
                continue
            if family.name == _STAGE and sample.labels["route"] == route:
                stages[sample.labels["stage"]][kind] += sample.value
            elif family.name == _BATCH:
                batches[kind] += sample.value
    if not stages:
        return None
    return MetricTotals({stage: (each[0], each[1]) for stage, each in stages.items()}, (batches[0], batches[1]))


def stages_between(before: MetricTotals | None, after: MetricTotals | None) -> tuple[StageTime, ...]:
    """The mean of each stage in its order, of the requests that ended between two readings."""
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


def stages_around(application_ms: float, latency_ms: float, requests: int) -> tuple[StageTime, ...]:
    """The stages of a server that tells none: inside the application, and what the client waits beside that."""
    outside = StageTime("outside the application", max(latency_ms - application_ms, 0.0), requests)
    return outside, StageTime("application", application_ms, requests)


def batch_size_between(before: MetricTotals | None, after: MetricTotals | None) -> float | None:
    """The mean size of the batches between two readings; None where there were none."""
    if after is None:
        return None
    earlier = before.batches if before is not None else (0.0, 0.0)
    batches = after.batches[1] - earlier[1]
    return (after.batches[0] - earlier[0]) / batches if batches > 0 else None
