from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import pytest
from rich.console import Console

from bento_monitor.lab.model_host.export_record import ExportEvidence
from bento_monitor.lab.model_host.messages import Parity
from optimizers.report.table import print_result

RESULT: dict[str, Any] = {
    "release": "svc-release:1",
    "service": "Svc",
    "api": "embed",
    "candidate": "onnxruntime fp32",
    "metric": "accuracy",
    "baseline_rps": 100.0,
    "optimized_rps": 174.0,
    "speedup": 1.74,
    "speedup_ci95": [1.7, 1.8],
    "aa_ratio": 1.0,
    "aa_ratio_ci95": [0.99, 1.01],
    "smallest_ratio": 1.05,
    "blocks_thrown": [],
    "baseline_accuracy": 0.9,
    "optimized_accuracy": 0.9,
    "accuracy_drop_upper95": 0.001,
    "accuracy_tolerance": 0.01,
    "batch_dependence_measure": "least cosine",
    "baseline_batch_dependence": 1.0,
    "notes": ["an answer is read as vector"],
    "export": None,
    "batch_dependence": 0.99,
    "alone_p50_ratio": 1.02,
    "alone_p50_ratio_ci95": [1.0, 1.04],
    "baseline_alone_p50_ms": 5.4,
    "optimized_alone_p50_ms": 5.5,
    "half_load_percentile": 99,
    "half_load_p99_ratio": 0.8,
    "half_load_p99_ratio_ci95": [0.7, 0.9],
    "baseline_half_load_p99_ms": 60.0,
    "optimized_half_load_p99_ms": 48.0,
}


def test_table_shows_lone_client_and_half_load_with_intervals() -> None:
    text = io.StringIO()
    print_result(Console(file=text, width=140), RESULT)
    alone, half_load = [line for line in text.getvalue().splitlines() if "a lone client" in line or "half of" in line]
    assert all(figure in alone for figure in ("5.4 ms", "5.5 ms", "1.02 times [1.00, 1.04]"))
    assert all(figure in half_load for figure in ("60.0 ms", "48.0 ms", "0.80 times [0.70, 0.90]"))


@pytest.mark.parametrize(
    ("parity", "said"),
    [
        (Parity(0.0, 1.0), ""),
        (Parity(0.0, 1.0, export=ExportEvidence("traced", "independent")), ""),
        (
            Parity(0.0, 1.0, export=ExportEvidence("traced", "independent", note="made for lengths of 16 alone")),
            "The graph: made for lengths of 16 alone.",
        ),
    ],
    ids=["not exported", "nothing to say", "a note"],
)
def test_note_on_the_exported_graph_is_printed(parity: Parity, said: str) -> None:
    text = io.StringIO()
    print_result(Console(file=text, width=140), {**RESULT, "export": asdict(parity)})
    assert ("The graph: " in text.getvalue()) == bool(said)
    assert said in text.getvalue()
