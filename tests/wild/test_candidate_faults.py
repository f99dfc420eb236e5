"""Candidates that crash, hang, eat memory, give NaN or wrong answers: the study goes on, and says what each did.

The model behaves so in torch's other precisions, each of which is one candidate; its float32 graph is right.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bento_monitor.lab.model_host.client import ModelHost
from optimizers.crash_log import CrashLog
from optimizers.search_space.recipe import Family, Recipe
from optimizers.stages import screen as screening
from optimizers.stages import workbench
from optimizers.stages.screen import screen
from optimizers.stages.subject import find_subject
from optimizers.stages.workbench import Workbench
from optimizers.study_folder import StudyFolder
from optimizers.study_spec import StudySpec

SERVICE = """
import os, signal, time
import bentoml
import numpy as np
import torch
from bento_monitor import MonitoredRunner

FAULT = open("fault").read()
KEPT = []

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(1, 4, 3)
        self.head = torch.nn.Linear(4, 3)

    def forward(self, x):
        scores = self.head(self.conv(x).relu().mean((2, 3)))
        if self.conv.weight.dtype == torch.bfloat16:  # only a converted copy
            if FAULT == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            if FAULT == "hang":
                time.sleep(600)
            if FAULT == "memory":
                taken = [bytearray(os.urandom(2**20) * 64) for _ in range(64)]
                time.sleep(600)
            if FAULT == "leak":  # grows by call, and reports progress all the time
                KEPT.append(bytearray(os.urandom(2**20) * 64))
            if FAULT == "nan":
                return scores * float("nan")
            if FAULT == "wrong":
                return -scores
            if FAULT == "raise":
                raise RuntimeError("no kernel")
        return scores

@bentoml.service
class Faulty:
    def __init__(self):
        self.model = MonitoredRunner(Model().eval())

    @bentoml.api(batchable=True, max_batch_size=16)
    def scores(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(torch.from_numpy(x.astype(np.float32))).numpy()
"""
FAMILIES = [
    Family((Recipe("onnxruntime", "fp32"),)),
    Family((Recipe("torch", "bf16-weights"),)),
    Family((Recipe("torch", "fp32"),)),
]
SAYS = {
    "crash": "signal SIGSEGV",
    "hang": "was stopped after",
    "memory": "GiB of memory, more than its limit of",
    "leak": "GiB of memory, more than its limit of",
    "nan": "finite",
    "raise": "no kernel",
}

KINDS = {"crash": "crash", "hang": "hang", "memory": "memory", "leak": "memory"}


def spec_of(folder: Path) -> StudySpec:
    return StudySpec(
        target="service:Faulty",
        working_dir=folder,
        data=folder / "eval.npz",
        metric="agreement",
        output="logits",
        connections=4,
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "service.py").write_text(SERVICE)
    x = np.random.default_rng(0).normal(size=(800, 1, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "eval.npz", x=x)
    monkeypatch.setattr(workbench, "_LEAST_TIMEOUT_S", 5.0)
    monkeypatch.setattr(screening, "_KEEP_RATIO", 0.0)  # on a busy machine, the speeds of so small a model are chance
    return tmp_path


def screened(folder: Path, *, retry: bool = False) -> dict[str, Any]:
    spec = spec_of(folder)
    with ModelHost(spec.target, spec.working_dir, memory_limit_bytes=3 * 2**30) as host:
        subject = find_subject(host, spec, folder)
        log = CrashLog(folder / "crashes.json", {"versions": 1}, retry=retry)
        bench = Workbench(host, spec, subject, StudyFolder(folder / "study"), log)
        bench.space()
        for family in FAMILIES:
            bench.add(family.first)
        return screen(bench, FAMILIES, 1, str, str)


@pytest.mark.parametrize("fault", ["crash", "hang", "memory", "leak", "nan", "raise", "wrong"])
def test_fault_of_a_candidate_is_told_and_the_others_are_measured(project: Path, fault: str) -> None:
    (project / "fault").write_text(fault)
    verdicts = screened(project)
    assert verdicts["onnxruntime fp32"]["accepted"]
    bad = verdicts["torch bf16-weights"]
    assert not bad["accepted"]
    if fault == "wrong":
        assert "agreement 0." in bad["words"]
    else:
        assert SAYS[fault] in bad["error"]
    remembered = json.loads((project / "crashes.json").read_text()) if (project / "crashes.json").exists() else {}
    assert {entry["fault"] for entry in remembered.values()} == ({KINDS.get(fault)} - {None})


def test_candidate_that_crashed_twice_is_not_tried_again_except_on_request(project: Path) -> None:
    (project / "fault").write_text("crash")
    assert "SIGSEGV" in screened(project)["torch bf16-weights"]["error"]
    assert "SIGSEGV" in screened(project)["torch bf16-weights"]["error"]
    third = screened(project)["torch bf16-weights"]["error"]
    assert "crashed 2 times here with these versions and was not tried again (--retry does)" in third
    assert "SIGSEGV" in screened(project, retry=True)["torch bf16-weights"]["error"]
