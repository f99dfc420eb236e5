"""The machine, as far as it affects speed: processor, limits of this process, memory and GPUs."""

from .cpu import read_cpu_flags, sums_int8_exactly
from .gpu import Gpu
from .machine_record import Machine, read_machine
from .memory import available_bytes, resident_bytes

__all__ = [
    "Gpu",
    "Machine",
    "available_bytes",
    "read_cpu_flags",
    "read_machine",
    "resident_bytes",
    "sums_int8_exactly",
]
