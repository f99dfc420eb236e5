"""Limits set on this process by a container or service manager (Linux control groups, versions 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Version 1 writes "no limit" as the largest page-aligned number.
_NO_MEMORY_LIMIT = 2**60
# Version 2 counts microseconds, version 1 nanoseconds.
_THROTTLED = {"throttled_usec": 1e6, "throttled_time": 1e9}


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """Limits on CPU time (in cores) and memory (in bytes); None if there is no limit."""

    cpu_quota: float | None
    memory_bytes: int | None


def read_cgroup_limits(*, filesystem: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> CgroupLimits:
    """Read the tightest limits among the process's control groups and their ancestors."""
    quotas: list[float] = []
    memory: list[int] = []
    for folder in _folders(filesystem, proc):
        quotas.extend(_quotas(folder))
        memory.extend(_memory_limits(folder))
    return CgroupLimits(cpu_quota=min(quotas, default=None), memory_bytes=min(memory, default=None))


def read_throttled_s(*, filesystem: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> float:
    """Return the seconds for which threads of the process's control groups were throttled by their quota; 0 if none."""
    found = [0.0]
    for folder in _folders(filesystem, proc):
        for line in (_read(folder / "cpu.stat") or "").splitlines():
            name, _, value = line.partition(" ")
            if name in _THROTTLED:
                found.append(int(value) / _THROTTLED[name])
    return max(found)


def _folders(filesystem: Path, proc: Path) -> Iterator[Path]:
    for line in (_read(proc / "self" / "cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        root = filesystem / controllers if controllers else filesystem
        folder = root / path.lstrip("/")
        # In a container the path may be that of the host; the container's limits are at the root of the mount.
        yield from (each for each in (folder, *folder.parents) if each == root or root in each.parents)


def _quotas(folder: Path) -> Iterator[float]:
    match (_read(folder / "cpu.max") or "").split():
        case [quota, period] if quota != "max":
            yield int(quota) / int(period)
    quota_us, period_us = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if quota_us and period_us and int(quota_us) > 0:
        yield int(quota_us) / int(period_us)


def _memory_limits(folder: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        text = _read(folder / name)
        if text and text != "max" and int(text) < _NO_MEMORY_LIMIT:
            yield int(text)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
