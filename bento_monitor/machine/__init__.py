"""The machine, as far as it affects speed: processor, limits of this process, memory and GPUs."""

from .cpu import sums_int8_exactly
from .gpu import Gpu
from .machine_record import Machine, read_machine

__all__ = ["Gpu", "Machine", "read_machine", "sums_int8_exactly"]
