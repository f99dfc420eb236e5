"""The processor's name, and the instructions that affect the speed of models."""

from __future__ import annotations

import platform
from collections.abc import Container
from pathlib import Path

# x86, then Arm. Quantized and half-precision kernels need low-precision dot products and matrix tiles.
RELEVANT_INSTRUCTIONS = (
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
    """Return the processor's name from the system, or else its architecture."""
    return _field(cpuinfo, "model name") or platform.processor() or platform.machine()


def read_cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...] | None:
    """Return the `RELEVANT_INSTRUCTIONS` that the processor has; None if the system does not report them."""
    text = _field(cpuinfo, "flags") or _field(cpuinfo, "Features")
    if text is None:
        return None
    present = frozenset(text.split())
    return tuple(flag for flag in RELEVANT_INSTRUCTIONS if flag in present)


def sums_int8_exactly(flags: Container[str] | None = None, architecture: str | None = None) -> bool:
    """Return whether the processor sums products of 8-bit numbers in 32 bits; False if this is unknown.

    x86 without VNNI or AMX sums pairs in 16 bits with saturation: a pair of 255 * 127 is 64,770, and becomes 32,767.
    Which pairs saturate depends on the scale of the batch, so the answer of a sample depends on the rest of its batch.

    Args:
        flags: the processor's instructions; default: those of this machine.
        architecture: the name from `platform.machine`; default: that of this machine.
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
