"""The processor's name, and which of its instructions decide what is fast on it."""

from __future__ import annotations

import platform
from collections.abc import Container
from pathlib import Path

# x86 first, then Arm: low-precision dot products and matrix tiles are what quantised and half-precision kernels need.
INSTRUCTIONS_THAT_MATTER = (
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
)

_X86 = frozenset({"x86_64", "amd64", "i386", "i686", "x86"})


def read_cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as the system gives it, or its architecture."""
    return _field(cpuinfo, "model name") or platform.processor() or platform.machine()


def read_cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...] | None:
    """Those of `INSTRUCTIONS_THAT_MATTER` that the processor has; None where the system does not tell."""
    text = _field(cpuinfo, "flags") or _field(cpuinfo, "Features")
    if text is None:
        return None
    present = frozenset(text.split())
    return tuple(flag for flag in INSTRUCTIONS_THAT_MATTER if flag in present)


def sums_int8_exactly(flags: Container[str] | None = None, architecture: str | None = None) -> bool:
    """Whether products of 8-bit numbers are added up in 32 bits here; False where nothing says so.

    x86 without VNNI or AMX adds two at a time in 16 bits, and clips: a pair of 255 * 127 is 64,770, and comes out as
    32,767. Which pairs clip depends on the scale of the batch, so a sample's answer depends on its company.

    Args:
        flags: the processor's instructions; those of this machine where none are given.
        architecture: as `platform.machine` names it; that of this machine where none is given.
    """
    if (architecture or platform.machine()).lower() not in _X86:
        return True
    present = flags if flags is not None else read_cpu_flags() or ()
    return any(flag in present for flag in ("avx_vnni", "avx512_vnni", "amx_int8"))


def _field(cpuinfo: Path, wanted: str) -> str | None:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, separator, value = line.partition(":")
        if separator and name.strip() == wanted:
            return value.strip()
    return None
