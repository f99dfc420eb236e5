from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import pytest
import torch
from captured import captured
from torch import nn

from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.model_host.export import export
from bento_monitor.lab.model_host.export_record import AxisLimit, ExportEvidence, read_evidence, write_evidence
from bento_monitor.lab.model_host.exporters import first_sentence, reason_of
from bento_monitor.lab.model_host.parity import parity


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.layers = kind(4, 8, batch_first=True, num_layers=2, bidirectional=True)

    def forward(self, x: torch.Tensor) -> Any:
        return self.layers(x)


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(50, 8)

    def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> Any:
        return {"sum": self.bag(ids) * weight, "class": self.bag(ids).argmax(1)}


class Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4).to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear(x.to(self.linear.weight.dtype)).float()
        return found


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


SEQUENCES = [{"x": draw(n, length, 4)} for n, length in ((1, 6), (2, 7), (3, 4), (5, 9))]
ROWS = [{"x": draw(n, 4)} for n in (1, 2, 5)]
BAGS = [{"ids": torch.arange(n * 3).view(n, 3) % 50, "weight": draw(n, 1)} for n in (1, 2, 5)]


@pytest.mark.parametrize(
    ("model", "calls"),
    [(Recurrent(nn.LSTM), SEQUENCES), (Recurrent(nn.GRU), SEQUENCES), (Bag(), BAGS), (Cast(torch.float64), ROWS)],
    ids=["LSTM", "GRU", "two inputs and outputs", "float64 inside"],
)
def test_traced_graph_equals_the_model_on_unseen_inputs(model: nn.Module, calls: Any, tmp_path: Path) -> None:
    with captured(model.eval(), *calls) as state:
        export(state, tmp_path / "m.onnx", "torchscript", 17)
        found = parity(state, tmp_path / "m.onnx")
    assert found.disagreement is None
    assert found.perturbed_calls >= 20
    assert found.export is not None
    assert (found.export.method, found.export.control_flow) == ("traced", "independent")


def test_torchscript_is_exported_from_its_graph_and_compiled_modules_from_the_original(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of later versions of torch
        scripted = torch.jit.script(Cast(torch.float32).eval())
    for model, method in (
        (scripted, "scripted"),
        (torch.compile(Cast(torch.float32).eval(), backend="eager"), "traced"),
    ):
        with captured(model, *ROWS) as state:
            export(state, tmp_path / "m.onnx", "torchscript", 17)
            found = parity(state, tmp_path / "m.onnx")
        assert found.disagreement is None
        assert found.export is not None
        assert found.export.method == method


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Cast(torch.bfloat16), "bfloat16"),
        (type("Fourier", (nn.Module,), {"forward": lambda _, x: torch.fft.rfft(x)})(), "complex64"),
        (type("Echo", (nn.Module,), {"forward": lambda _, x: {"x": x * 2}})(), "named x"),
    ],
    ids=["bfloat16", "complex", "a name twice"],
)
def test_model_that_onnxruntime_cannot_run_is_refused_before_the_export(
    model: nn.Module, message: str, tmp_path: Path
) -> None:
    with captured(model.eval(), *ROWS) as state, pytest.raises(BentoMonitorError, match=message):
        export(state, tmp_path / "m.onnx", "torchscript", 17)
    assert not (tmp_path / "m.onnx").exists()


def test_export_of_another_model_is_not_the_same(tmp_path: Path) -> None:
    with captured(Cast(torch.float32).eval(), *ROWS) as state:
        export(state, tmp_path / "m.onnx", "torchscript", 17)
    with captured(Cast(torch.float32).eval(), *ROWS) as state:
        found = parity(state, tmp_path / "m.onnx")
    assert found.disagreement is not None
    assert found.max_abs_difference > 0.1


def test_evidence_is_stored_in_the_file_which_stays_valid(tmp_path: Path) -> None:
    evidence = ExportEvidence("traced", "independent", ("a.py:3: a warning",), (AxisLimit("x", 1, 512),), "a note")
    path = tmp_path / "m.onnx"
    with captured(Cast(torch.float32).eval(), *ROWS) as state:
        export(state, path, "torchscript", 17)
    graph = onnx.load(path)
    del graph.metadata_props[:]
    onnx.save(graph, path)
    assert read_evidence(ort.InferenceSession(path, providers=["CPUExecutionProvider"])) is None
    write_evidence(path, evidence)
    onnx.checker.check_model(str(path))
    assert read_evidence(ort.InferenceSession(path, providers=["CPUExecutionProvider"])) == evidence


def test_reason_is_the_first_sentence_of_the_first_cause() -> None:
    cause = ValueError("\x1b[96mThis is why.\x1b[0m And more.\nA wall of text")
    error = RuntimeError("outer")
    error.__cause__ = cause
    assert reason_of(error) == "ValueError: This is why"
    assert len(first_sentence("x" * 1000)) == 200
    assert first_sentence("") == ""
