"""Rule: requests wait for a batch that does not fill, while the server is idle."""

from __future__ import annotations

from ..profiling.profile_record import Finding, LoadPoint, Profile

_MIN_SHARE = 0.5
_MIN_MS = 2.0
# Above this, requests wait because the model is busy.
_MAX_CORES = 0.5


def find_batch_window(profile: Profile) -> Finding | None:
    """Return the finding at the load with the largest share of idle waiting.

    Return None if waiting is short, or if the server computes in the meantime.
    """
    found = [(share, point) for point in profile.points if (share := _idle_wait_share(point)) >= _MIN_SHARE]
    if not found:
        return None
    share, point = max(found, key=lambda pair: pair[0])
    wait_ms = _wait_ms(point)
    return Finding(
        "batch_window",
        "Requests wait for a batch that does not fill",
        (
            f"at {point.throughput_rps:.0f} requests/s a request waits {wait_ms:.1f} ms, {share:.0%} of its time",
            f"it waits for a batch of {point.batch_size:.1f} requests",
            f"the server uses {0 if point.server is None else point.server.cpu_cores:.2f} cores at that load",
        ),
        "Shorten the batch window, or leave batching to the dispatcher, which starts a batch when a thread is free.",
    )


def _idle_wait_share(point: LoadPoint) -> float:
    if point.batch_size is None or point.server is None or point.server.cpu_cores > _MAX_CORES:
        return 0.0
    wait_ms = _wait_ms(point)
    total_ms = sum(stage.mean_ms for stage in point.stages)
    return wait_ms / total_ms if wait_ms >= _MIN_MS else 0.0


def _wait_ms(point: LoadPoint) -> float:
    return sum(stage.mean_ms for stage in point.stages if stage.name == "queue")
