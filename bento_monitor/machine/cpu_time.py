"""CPU time of the whole machine: busy, idle and stolen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MachineTime:
    """CPU seconds, summed over all processors; in `steal_s`, the host ran other machines although this one had work."""

    busy_s: float
    idle_s: float
    steal_s: float

    @property
    def total_s(self) -> float:
        """The sum of busy, idle and stolen seconds."""
        return self.busy_s + self.idle_s + self.steal_s

    @property
    def steal_ratio(self) -> float:
        """The share of stolen time, from 0 to 1."""
        return self.steal_s / self.total_s if self.total_s > 0 else 0.0

    def since(self, earlier: MachineTime) -> MachineTime:
        """Return the difference to an earlier reading."""
        return MachineTime(self.busy_s - earlier.busy_s, self.idle_s - earlier.idle_s, self.steal_s - earlier.steal_s)


def read_machine_time() -> MachineTime:
    """Return the totals since the machine started; `steal_s` is 0 if the system does not report it."""
    import psutil

    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    steal_s = getattr(times, "steal", 0.0)
    # `user` and `nice` already include the time of guests.
    busy = ("user", "nice", "system", "irq", "softirq")
    return MachineTime(sum(getattr(times, name, 0.0) for name in busy), idle_s, steal_s)
