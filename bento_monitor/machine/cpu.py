"""The processor's name, and which of its instructions decide what is fast on it."""

from __future__ import annotations

import platform
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
