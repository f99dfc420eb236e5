"""What all processors of the machine did with their time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MachineTime:
    """Seconds of all processors together: `steal_s` is what the host gave to others while there was something to do."""

    busy_s: float
    idle_s: float
    steal_s: float

    @property
    def total_s(self) -> float:
        """Seconds of every processor."""
        return self.busy_s + self.idle_s + self.steal_s

    @property
    def steal_ratio(self) -> float:
        """The share that was stolen."""
        return self.steal_s / self.total_s if self.total_s > 0 else 0.0

    def since(self, earlier: MachineTime) -> MachineTime:
        """What was done between two readings."""
        return MachineTime(self.busy_s - earlier.busy_s, self.idle_s - earlier.idle_s, self.steal_s - earlier.steal_s)


def read_machine_time() -> MachineTime:
    """The totals since the machine's start; where the system does not tell what is stolen, that is 0."""
    import psutil

    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    steal_s = getattr(times, "steal", 0.0)
    # The time of guests is in `user` and `nice` already.
    busy = ("user", "nice", "system", "irq", "softirq")
    return MachineTime(sum(getattr(times, name, 0.0) for name in busy), idle_s, steal_s)
