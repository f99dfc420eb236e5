from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bento_monitor.lab.model_host.export_record import FixedAxis
from bento_monitor.lab.model_host.messages import ModelInterface
from bento_monitor.releases.release_record import OutputForm, TensorSpec
from optimizers.accuracy.tolerance import Tolerance
from optimizers.stages.workbench import Workbench
from optimizers.study_folder import StudyFolder
from optimizers.study_spec import StudySpec

VARYING = TensorSpec("x", "float32", (None, None), (1, 12))
HISTOGRAMS = "int8-static-all-percentile-100"


@pytest.mark.parametrize(
    ("probed_axes", "has_histograms"),
    [((), False), ((FixedAxis("x", 1, 12),), True)],
    ids=["varies in samples", "varies in probes alone"],
)
def test_histograms_need_one_length_in_the_samples_not_in_the_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probed_axes: tuple[FixedAxis, ...], has_histograms: bool
) -> None:
    monkeypatch.setattr(Workbench, "_graph_ops", lambda _: frozenset({"MatMul"}))
    interface = ModelInterface("model", "torch", (VARYING,), (VARYING,), OutputForm(), None, "f", probed_axes)
    subject: Any = SimpleNamespace(subject=SimpleNamespace(interface=interface), choosing=np.arange(400))
    spec = StudySpec(
        target="service:Svc", working_dir=tmp_path, data=tmp_path, metric="accuracy", max_drop=Tolerance(0.01)
    )
    host: Any = None
    space = Workbench(host, spec, subject, StudyFolder(tmp_path / "study")).space()
    assert (HISTOGRAMS in [recipe.precision for recipe in space.recipes]) == has_histograms
    assert ("unequal shapes" in " ".join(cut.why for cut in space.cuts)) != has_histograms
