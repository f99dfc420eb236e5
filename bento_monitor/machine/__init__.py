"""The machine, as far as it affects speed: processor, limits of this process, memory and GPUs."""

from .cpu import read_cpu_flags, sums_int8_exactly
from .gpu import Gpu
from .machine_record import Machine, read_machine
from .memory import over_limit, resident_bytes, safe_bytes

__all__ = [
    "Gpu",
    "Machine",
    "over_limit",
    "read_cpu_flags",
    "read_machine",
    "resident_bytes",
    "safe_bytes",
    "sums_int8_exactly",
]
