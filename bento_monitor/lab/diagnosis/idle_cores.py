"""Rule: each worker keeps one core busy, as one interpreter does, while other cores, and perhaps a GPU, are idle."""

from __future__ import annotations

from ..profiling.profile_record import Finding, Profile

# Cores that a worker uses whose interpreter is the limit: one, and a little for what runs beside it.
_MIN_CORES, _MAX_CORES = 0.85, 1.3
_MIN_IDLE_CORES, _MIN_IDLE_SHARE = 1.0, 0.3
# Fewer clients per worker may leave cores idle because there is nothing to do.
_MIN_CONNECTIONS = 4
_MAX_GPU_SHARE = 0.7


def find_idle_cores(profile: Profile) -> Finding | None:
    """Return the finding at the load with the highest throughput, if cores are idle there; None if they are not."""
    point = profile.capacity
    server, machine = point.server, point.machine
    if server is None or point.connections < _MIN_CONNECTIONS * profile.workers:
        return None
    cores_each = server.cpu_cores / profile.workers
    least_idle = max(_MIN_IDLE_CORES, _MIN_IDLE_SHARE * machine.cores)
    gpu_share = max((gpu.utilization for gpu in point.gpus), default=0.0)
    if not _MIN_CORES <= cores_each <= _MAX_CORES or machine.idle_cores < least_idle or gpu_share > _MAX_GPU_SHARE:
        return None
    workers = "The worker keeps" if profile.workers == 1 else f"Each of {profile.workers} workers keeps"
    return Finding(
        "idle_cores",
        f"{workers} one core busy, and {machine.idle_cores:.0f} others are idle",
        (
            f"at {point.throughput_rps:.0f} requests/s a worker uses {cores_each:.2f} cores, as one interpreter does",
            f"{machine.idle_cores:.1f} of {machine.cores} cores are idle",
            *([f"the GPU computes {gpu_share:.0%} of the time"] if point.gpus else []),
        ),
        f"Add workers: --workers {profile.workers + int(machine.idle_cores)} at most, or let a search compare them "
        "(bento-monitor optimize --workers); each holds a model of its own in memory.",
    )
