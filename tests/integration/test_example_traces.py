"""The traces of every example under load, on both paths, against the trace laws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bento_monitor.lab.loadgen import LoadSpec, run_load
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, find_violations

EXAMPLES = Path(__file__).parents[2] / "examples"
# Folder -> its service, and an API with the bodies of its requests.
LOADS = {
    "semantic_search": (
        "service:SemanticSearch",
        "/embed",
        [{"sentences": ["A loan was approved.", "The court rose."][: 1 + n % 2]} for n in range(8)],
    ),
}


def test_every_example_has_a_load() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if (path / "service.py").is_file()} == set(LOADS)


@pytest.mark.parametrize("fast_path", ["true", "false"], ids=["fast path", "BentoML's path"])
@pytest.mark.parametrize("example", LOADS)
def test_example_traces_under_load_keep_every_law(example: str, fast_path: str, tmp_path: Path) -> None:
    target, path, bodies = LOADS[example]
    with OtlpReceiver() as receiver:
        env = receiver.environment | {
            "BENTO_MONITOR_HOME": str(tmp_path / "monitor"),
            "BENTO_MONITOR_FAST_PATH": fast_path,
            "BENTO_MONITOR_TRACE_RATE_LIMIT": "0",
        }
        spec = ServerSpec(
            target=target, working_dir=EXAMPLES / example, as_="monitored", env=env, home=tmp_path / "bentoml"
        )
        with start_server(spec) as server:
            load = LoadSpec(
                port=server.port,
                path=path,
                bodies=tuple(json.dumps(body).encode() for body in bodies),
                mode="closed",
                connections=8,
                request_count=200,
            )
            assert (run_load(load).status == 200).all()
        spans = receiver.spans()
    assert find_violations(spans, requests=200) == []
    assert {span.name for span in spans} >= {f"POST {path}", "queue", "infer", "batch", "model"}
