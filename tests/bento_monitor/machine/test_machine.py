"""The machine's facts, read from the files of Linux; a missing file is not an error."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from bento_monitor.machine import Gpu, read_machine, sums_int8_exactly
from bento_monitor.machine.cgroup import CgroupLimits, read_cgroup_limits, read_throttled_s
from bento_monitor.machine.cpu import read_cpu_flags, read_cpu_model
from bento_monitor.machine.gpu import read_gpus


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def limits(tmp_path: Path) -> CgroupLimits:
    return read_cgroup_limits(filesystem=tmp_path / "cgroup", proc=tmp_path / "proc")


def test_tightest_limit_of_a_group_and_its_ancestors_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/machine/service\n")
    write(tmp_path / "cgroup/machine/cpu.max", "150000 100000\n")
    write(tmp_path / "cgroup/machine/service/cpu.max", "400000 100000\n")
    write(tmp_path / "cgroup/machine/memory.max", "max\n")
    write(tmp_path / "cgroup/machine/service/memory.max", "1073741824\n")
    assert limits(tmp_path) == CgroupLimits(cpu_quota=1.5, memory_bytes=2**30)


def test_in_a_container_the_limits_at_the_mounted_root_are_found(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/not/mounted/here\n")
    write(tmp_path / "cgroup/cpu.max", "50000 100000\n")
    assert limits(tmp_path).cpu_quota == 0.5


def test_version_1_groups_are_read_and_can_be_unlimited(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "4:memory:/job\n1:cpu,cpuacct:/job\n")
    write(tmp_path / "cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "200000\n")
    write(tmp_path / "cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n")
    assert limits(tmp_path) == CgroupLimits(cpu_quota=2.0, memory_bytes=None)


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert limits(tmp_path) == CgroupLimits(cpu_quota=None, memory_bytes=None)


def test_throttled_time_is_read_from_both_versions(tmp_path: Path) -> None:
    assert read_throttled_s(filesystem=tmp_path / "cgroup", proc=tmp_path / "proc") == 0
    write(tmp_path / "proc/self/cgroup", "0::/service\n1:cpu:/job\n")
    write(tmp_path / "cgroup/service/cpu.stat", "usage_usec 9\nnr_throttled 3\nthrottled_usec 1500000\n")
    assert read_throttled_s(filesystem=tmp_path / "cgroup", proc=tmp_path / "proc") == 1.5
    write(tmp_path / "cgroup/cpu/job/cpu.stat", "nr_periods 5\nthrottled_time 2500000000\n")
    assert read_throttled_s(filesystem=tmp_path / "cgroup", proc=tmp_path / "proc") == 2.5


def test_relevant_instruction_sets_are_read_from_the_cpu_flags(tmp_path: Path) -> None:
    write(tmp_path / "x86", "model name\t: Some CPU @ 3 GHz\nflags\t\t: fpu amx_int8 sse avx2 avx512_vnni avx2x\n\n")
    write(tmp_path / "arm", "Features\t: fp asimd asimddp i8mm\n")
    assert read_cpu_flags(tmp_path / "x86") == ("avx2", "avx512_vnni", "amx_int8")
    assert read_cpu_model(tmp_path / "x86") == "Some CPU @ 3 GHz"
    assert read_cpu_flags(tmp_path / "arm") == ("asimddp", "i8mm")


def test_missing_cpu_flags_are_unknown_instead_of_none(tmp_path: Path) -> None:
    assert read_cpu_flags(tmp_path / "absent") is None
    assert read_cpu_model(tmp_path / "absent")


class DriverDouble(types.ModuleType):
    """NVML's Python binding with one GPU, or with a fault."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, has_driver: bool = True, is_lost: bool = False) -> None:
        super().__init__("pynvml")
        self.has_driver, self.is_lost, self.shut_down = has_driver, is_lost, 0

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.has_driver:
            raise self.NVMLError

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.shut_down += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if self.is_lost:
            raise self.NVMLError
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: N802
        return b"Test GPU"

    def nvmlDeviceGetCudaComputeCapability(self, handle: int) -> tuple[int, int]:  # noqa: N802
        return 9, 0

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> types.SimpleNamespace:  # noqa: N802
        return types.SimpleNamespace(total=2**37)


def test_gpus_have_the_names_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = DriverDouble()
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    assert read_gpus() == (Gpu("Test GPU", memory_bytes=2**37, compute_capability="9.0"),)
    assert driver.shut_down == 1


@pytest.mark.parametrize("driver", [DriverDouble(has_driver=False), DriverDouble(is_lost=True)])
def test_missing_or_failing_driver_means_no_gpu(monkeypatch: pytest.MonkeyPatch, driver: DriverDouble) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    assert read_gpus() == ()


def test_this_machine_can_be_read() -> None:
    machine = read_machine()
    assert 1 <= machine.usable_cpus <= machine.logical_cpus
    assert machine.memory_bytes > 2**28


@pytest.mark.parametrize(
    ("flags", "architecture", "exactly"),
    [
        (("avx2", "avx512_vnni"), "x86_64", True),
        (("avx2", "avx_vnni"), "AMD64", True),
        (("amx_int8",), "x86_64", True),
        (("avx2", "avx512f"), "x86_64", False),
        ((), "AMD64", False),
        (("asimddp",), "aarch64", True),
        ((), "arm64", True),
    ],
)
def test_int8_sums_are_exact_with_vnni_or_amx_or_without_x86(
    flags: tuple[str, ...], architecture: str, exactly: bool
) -> None:
    assert sums_int8_exactly(flags, architecture) is exactly
