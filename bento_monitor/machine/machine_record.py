"""A record of the machine, for display and as the context of measurements."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from .cgroup import read_cgroup_limits
from .cpu import read_cpu_flags, read_cpu_model
from .gpu import Gpu, read_gpus


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that a figure was measured on.

    `cpu_flags` is None if the system does not report them. `usable_cpus` counts the CPUs that the process may be
    scheduled on. `cpu_quota` (cores) and `memory_limit_bytes` are the limits of a container, None without one.
    """

    system: str
    cpu_model: str
    cpu_flags: tuple[str, ...] | None
    logical_cpus: int
    physical_cpus: int | None
    usable_cpus: int
    cpu_quota: float | None
    memory_bytes: int
    memory_limit_bytes: int | None
    gpus: tuple[Gpu, ...]

    @property
    def cores(self) -> int:
        """Whole cores that this process may keep busy: the usable CPUs, limited by the quota."""
        quota = self.usable_cpus if self.cpu_quota is None else int(self.cpu_quota)
        return max(1, min(self.usable_cpus, quota))


def read_machine() -> Machine:
    """Read the machine that this process runs on."""
    import psutil

    limits = read_cgroup_limits()
    logical = os.cpu_count() or 1
    return Machine(
        system=platform.platform(),
        cpu_model=read_cpu_model(),
        cpu_flags=read_cpu_flags(),
        logical_cpus=logical,
        physical_cpus=psutil.cpu_count(logical=False),
        usable_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical,
        cpu_quota=limits.cpu_quota,
        memory_bytes=psutil.virtual_memory().total,
        memory_limit_bytes=limits.memory_bytes,
        gpus=read_gpus(),
    )
