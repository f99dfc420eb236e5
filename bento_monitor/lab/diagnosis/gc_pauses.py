"""Rule: the slowest requests are those that waited for the garbage collector."""

from __future__ import annotations

from ..profiling.profile_record import Finding, Profile, ServerUse

# Shorter pauses occur in every healthy service.
_MIN_MS = 20.0
_MIN_SLOW_SHARE = 0.5
# By chance alone, slow requests would meet pauses as often as other requests do.
_MIN_LIFT = 2.0
_TIMERS = ("TimerHandle", "UVTimer")
_MIN_TIMERS = 1000


def find_gc_pauses(profile: Profile) -> Finding | None:
    """Return the finding at the load where pauses explain most of the slow requests.

    Return None if most slow requests have another cause.
    """
    seen = [(point.server, point) for point in profile.points if point.server is not None]
    found = [(server, point) for server, point in seen if _is_cause(server)]
    if not found:
        return None
    server, point = max(found, key=lambda pair: pair[0].pauses.slow_share)
    pauses = server.pauses
    every = f"{pauses.every_share:.0%}"
    evidence = [
        f"{pauses.count} collections in {point.seconds:.0f} s at {point.throughput_rps:.0f} requests/s",
        f"they take {pauses.total_ms / point.seconds / 1e3:.0%} of the time, the longest {pauses.longest_ms:.0f} ms",
        f"{pauses.slow_share:.0%} of the slowest 1 % of requests waited for a collection (of all requests: {every})",
        f"p99 is {point.latency_ms(99.0):.0f} ms",
    ]
    timers = sum(profile.census.get(name, 0) for name in _TIMERS)
    remedy = "Keep fewer objects alive, or freeze the heap once the service is up (gc.freeze)."
    if timers >= _MIN_TIMERS:
        evidence.append(
            f"{timers} timers are alive, each holding its request: BentoML's time limit sets one timer per request and "
            "never cancels it, so the garbage collector traverses all requests of the last minute"
        )
        remedy = "Serve it monitored: one timer per worker, a frozen heap, and no collection longer than a few ms."
    return Finding("collector_pauses", "Garbage collections stop every request", tuple(evidence), remedy)


def _is_cause(server: ServerUse) -> bool:
    pauses = server.pauses
    is_chance = pauses.slow_share < _MIN_LIFT * pauses.every_share and pauses.every_share < 1 / _MIN_LIFT
    return pauses.longest_ms >= _MIN_MS and pauses.slow_share >= _MIN_SLOW_SHARE and not is_chance
