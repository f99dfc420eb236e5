"""NVML's own binding on a fake driver library, which answers like NVML and has a running energy counter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = """
#include <string.h>
static unsigned long long energy_mj = 5000;
int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu) { *gpu = (void *)0x10; return 0; }
int nvmlDeviceGetName(void *gpu, char *name, unsigned length) { strncpy(name, "Made GPU", length); return 0; }
int nvmlDeviceGetUtilizationRates(void *gpu, unsigned *rates) { rates[0] = 40; rates[1] = 7; return 0; }
int nvmlDeviceGetMemoryInfo(void *gpu, unsigned long long *memory) {
  memory[0] = 1ULL << 36; memory[1] = 1ULL << 35; memory[2] = 3ULL << 30; return 0;
}
int nvmlDeviceGetPowerUsage(void *gpu, unsigned *milliwatts) { *milliwatts = 250500; return POWER; }
int nvmlDeviceGetTotalEnergyConsumption(void *gpu, unsigned long long *mj) { *mj = energy_mj += 2500; return ENERGY; }
"""
SCRIPT = """
import json, time
from dataclasses import asdict
from bento_monitor.machine.gpu_use import open_gpu_meter
with open_gpu_meter() as meter:
    time.sleep(0.3)
    print(json.dumps(None if meter is None else [asdict(use) for use in meter.read()]))
"""
NOT_SUPPORTED, LOST = 3, 15
pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed: torch without CUDA does not bring it")


def uses(folder: Path, *, power: int = 0, energy: int = 0) -> list[dict[str, object]]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a driver's library with")
    (folder / "nvml.c").write_text(LIBRARY.replace("POWER", str(power)).replace("ENERGY", str(energy)))
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(folder / "nvml.c")], check=True)
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def test_gpu_use_is_given_in_shares_bytes_watts_and_joules(tmp_path):
    (use,) = uses(tmp_path)
    assert use == {
        "name": "Made GPU",
        "utilization": pytest.approx(0.4),
        "memory_bytes": 3 * 2**30,
        "power_w": pytest.approx(250.5),
        "energy_j": 2.5,
    }


def test_gpu_without_an_energy_counter_is_still_measured(tmp_path):
    (use,) = uses(tmp_path, energy=NOT_SUPPORTED)
    assert use["energy_j"] is None
    assert use["utilization"] == pytest.approx(0.4)


def test_lost_gpu_is_reported_without_samples(tmp_path):
    (use,) = uses(tmp_path, power=LOST)
    assert (use["utilization"], use["memory_bytes"], use["energy_j"]) == (0, 0, 2.5)


def test_missing_driver_gives_no_meter(monkeypatch, tmp_path):
    from bento_monitor.machine.gpu import read_gpus
    from bento_monitor.machine.gpu_use import open_gpu_meter

    with open_gpu_meter() as meter:
        assert (meter is None) == (not read_gpus())
