"""The traces of every example under load, on both paths, against the trace laws."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bento_monitor.lab.loadgen import LoadSpec, run_load
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServedAs, ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations

EXAMPLES = Path(__file__).parents[2] / "examples"
REQUESTS = 200
APPLICATION = {
    "amount_usd": 70_000,
    "guaranteed_usd": 56_000,
    "state": "OR",
    "bank": "PACIFIC CONTINENTAL BANK",
    "bank_state": "OR",
    "industry": "451120",
    "employees": 2,
    "jobs_created": 0,
    "jobs_retained": 0,
    "is_new": "no",
    "is_franchise": "no",
    "is_revolving": "no",
    "is_low_doc": "unknown",
}


def second_of_sound(number: int) -> str:
    """Return a second of a tone as a WAV file in base64."""
    file = io.BytesIO()
    samples = (8000 * np.sin(np.arange(16_000) * (0.05 + 0.01 * number))).astype(np.int16)
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, 16_000, 0, "NONE", ""))
        target.writeframes(samples.tobytes())
    return base64.b64encode(file.getvalue()).decode()


@dataclass(frozen=True)
class Load:
    """A service, an API of it, and the bodies of its requests; `has_files` if it needs data or weights."""

    target: str
    path: str
    bodies: list[Any]
    has_files: bool = True
    as_: ServedAs = "monitored"
    requests: int = REQUESTS


LOADS = {
    "semantic_search": Load(
        "service:SemanticSearch",
        "/embed",
        [{"sentences": ["A loan was approved.", "The court rose."][: 1 + n % 2]} for n in range(8)],
        has_files=False,
    ),
    "digits": Load("service:Digits", "/classify", [{"images": [[[n / 8] * 8] * 8] * (1 + n % 3)} for n in range(8)]),
    "loan_approval": Load(
        "service:LoanApproval",
        "/decide_by_network",
        [{"applications": [APPLICATION | {"employees": n}]} for n in range(8)],
    ),
    "machine_failure": Load(
        "service:MachineWatch", "/watch_pump", [{"windows": [[[300.0 + n] * 7] * 64]} for n in range(8)]
    ),
}

LOADS["court_transcription"] = Load(
    "service:CourtTranscription", "/transcribe", [{"recordings": [second_of_sound(n)]} for n in range(4)], requests=12
)


def spans_under_load(
    folder: str, load: Load, tmp_path: Path, files: Callable[[str], Path], fast_path: str = "true"
) -> list[SpanRecord]:
    with OtlpReceiver() as receiver:
        env = receiver.environment | {
            "BENTO_MONITOR_HOME": str(tmp_path / "monitor"),
            "BENTO_MONITOR_FAST_PATH": fast_path,
            "BENTO_MONITOR_TRACE_RATE_LIMIT": "0",
            "AUDIT_DIR": str(tmp_path / "audit"),
        }
        if load.has_files:
            env["EXAMPLE_FILES"] = str(files(folder))
        spec = ServerSpec(
            target=load.target, working_dir=EXAMPLES / folder, as_=load.as_, env=env, home=tmp_path / "bentoml"
        )
        with start_server(spec) as server:
            result = run_load(
                LoadSpec(
                    port=server.port,
                    path=load.path,
                    bodies=tuple(json.dumps(body).encode() for body in load.bodies),
                    mode="closed",
                    connections=8,
                    request_count=load.requests,
                )
            )
            assert (result.status == 200).all()
        return receiver.spans()


def test_every_example_has_a_load() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if (path / "service.py").is_file()} == {*LOADS, "legacy_runner"}


@pytest.mark.parametrize("fast_path", ["true", "false"], ids=["fast path", "BentoML's path"])
@pytest.mark.parametrize("example", LOADS)
def test_example_traces_under_load_keep_every_law(
    example: str, fast_path: str, tmp_path: Path, short_files: Callable[[str], Path]
) -> None:
    load = LOADS[example]
    spans = spans_under_load(example, load, tmp_path, short_files, fast_path)
    assert find_violations(spans, requests=load.requests) == []
    assert {span.name for span in spans} >= {f"POST {load.path}", "queue", "infer", "batch", "model"}


def test_legacy_example_is_traced_into_the_process_of_its_runner(
    tmp_path: Path, short_files: Callable[[str], Path]
) -> None:
    bodies = [[[n / 8] * 64] * (1 + n % 3) for n in range(8)]
    load = Load("service:svc", "/classify", bodies, has_files=False, as_="stock")
    spans = spans_under_load("legacy_runner", load, tmp_path, short_files)
    calls = [span for span in spans if span.name == "runner"]
    assert find_violations(spans, requests=REQUESTS + len(calls)) == []
    assert {span.name for span in spans} >= {"POST /classify", "runner", "batch", "model"}
