"""Graphs with fixed axes: the length of the samples is fixed if no graph is correct for every length of the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from captured import captured
from torch import nn
from torch.nn import functional

from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.model_host.export import export
from bento_monitor.lab.model_host.export_record import FixedAxis, with_fixed_axes
from bento_monitor.lab.model_host.messages import Contender
from bento_monitor.lab.model_host.parity import parity
from bento_monitor.lab.model_host.state import HostState
from bento_monitor.releases.release_record import TensorSpec
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.serving_config import Execution

SIZES = ((1, 12), (2, 12), (3, 12), (2, 9), (2, 24))


class Pooled(nn.Module):
    """A module whose exporter has no operator for a varying size."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(functional.adaptive_avg_pool1d(x, 6)).mean(1)


class Counted(nn.Module):
    """A module with a loop over an axis, which tracing unrolls for one length, and `**_`, which cannot be scripted."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor, **_: Any) -> torch.Tensor:
        state = torch.zeros_like(x[:, :, 0])
        for index in range(x.shape[2]):
            state = torch.tanh(self.step(x[:, :, index]) + state)
        return state


def probed(model: nn.Module) -> Any:
    calls = [{"x": torch.randn(n, 3, length)} for n, length in SIZES]
    return captured(model.eval(), *calls)


def note_samples(state: HostState) -> None:
    """Set the state that capture leaves if all samples have length 12."""
    assert state.interface is not None
    state.sample_calls = [call for call in state.calls if call.inputs["x"].shape[2] == 12]
    state.interface = replace(state.interface, probed_axes=(FixedAxis("x", 2, 12),))


def test_model_without_a_graph_for_every_size_gets_one_for_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with probed(Pooled()) as state:
        note_samples(state)
        with pytest.raises(BentoMonitorError) as refusal:
            export(state, path, "torchscript", 17)
        export(state, path, "torchscript", 17, str(refusal.value))
        found = parity(state, path)
    assert found.disagreement is None
    assert found.perturbed_calls > 10
    assert found.export is not None
    assert found.export.fixed_axes == (FixedAxis("x", 2, 12),)
    assert "12 in axis 2 of x" in found.export.note
    assert str(refusal.value) in found.export.note


def test_release_with_fixed_axes_leaves_other_lengths_to_the_own_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with probed(Counted()) as state:
        note_samples(state)
        export(state, path, "torchscript", 17)
        assert parity(state, path).disagreement is not None
        export(state, path, "torchscript", 17, "it differs")
        found = parity(state, path)
        assert found.disagreement is None
        assert found.export is not None
        state.service = SimpleNamespace(name="Service")
        _, runner = state.captured()
        execution = Execution("onnxruntime", "fp32", 1)
        runner.activate(state.prepare(Contender(execution, path, sha256_of(path), found.export.fixed_axes)))
        for call in state.calls:
            with torch.no_grad():
                torch.testing.assert_close(runner(call.inputs["x"]), call.outputs["output"], rtol=1e-4, atol=1e-5)
    others = sum(call.inputs["x"].shape[2] != 12 for call in state.calls)
    assert runner.fallbacks.totals() == {("contender", "shape"): others}


def test_fixed_axes_set_the_length_of_shape_and_example() -> None:
    specs = (TensorSpec("x", "float32", (None, 3, None), (4, 3, 24)), TensorSpec("y", "float32", (None,), (4,)))
    assert with_fixed_axes(specs, (FixedAxis("x", 2, 12),)) == (
        TensorSpec("x", "float32", (None, 3, 12), (4, 3, 12)),
        specs[1],
    )
    assert with_fixed_axes(specs, ()) == specs
