"""Tail sampling: unsampled requests whose traces are kept because they failed, were slow or were the first."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from mixed_load import CASES, EACH, send_mixed_load

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations

SERVICES = Path(__file__).parent / "services"
NEVER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}


def serve_load(tmp_path: Path, fast_path: str = "true", **env: str) -> list[SpanRecord]:
    with OtlpReceiver() as receiver:
        env = receiver.environment | NEVER | {"BENTO_MONITOR_FAST_PATH": fast_path} | env
        spec = ServerSpec(target="plain:Plain", working_dir=SERVICES, as_="monitored", env=env, home=tmp_path)
        with start_server(spec) as server:
            send_mixed_load(server, is_sampled=False)
        return receiver.spans()


@pytest.mark.parametrize("fast_path", ["true", "false"])
def test_failures_and_first_requests_of_each_kind_are_kept_complete(tmp_path: Path, fast_path: str) -> None:
    spans = serve_load(tmp_path, fast_path, BENTO_MONITOR_TRACE_TAIL_SAMPLING="failed,first")
    assert find_violations(spans) == []
    servers = [span for span in spans if span.kind == "SERVER"]
    reasons = Counter((span.name, span.attributes[names.SAMPLING_REASON]) for span in servers)
    failures = reasons.pop(("POST /fails", "failed"))
    assert failures == EACH
    kinds = {(path, status) for path, _, status in CASES if path != "/fails"}
    assert sum(reasons.values()) == len(kinds)
    assert {reason for _, reason in reasons} == {"first"}
    (batch,) = [span for span in spans if span.name == "batch"]
    assert batch.attributes[names.BATCH_LINKED] == 1


def test_empty_setting_keeps_nothing(tmp_path: Path) -> None:
    assert serve_load(tmp_path, BENTO_MONITOR_TRACE_TAIL_SAMPLING="") == []


def test_request_in_several_batches_links_each(tmp_path: Path) -> None:
    """A request with more rows than a batch may have is split; it and its batches link each other."""
    with OtlpReceiver() as receiver:
        spec = ServerSpec(
            target="plain:Plain", working_dir=SERVICES, as_="monitored", env=receiver.environment, home=tmp_path
        )
        with start_server(spec) as server:
            assert ask(server, "/batched", {"xs": list(range(250))}) == list(range(250))
        spans = receiver.spans()
    assert find_violations(spans, requests=1) == []
    (infer,) = [span for span in spans if span.name == "infer"]
    assert len(infer.links) == len([span for span in spans if span.name == "batch"]) == 3


def ask(server: ServerProcess, path: str, body: object) -> object:
    headers = {"Content-Type": "application/json", "traceparent": f"00-{secrets.token_hex(16)}-{'1' * 16}-01"}
    request = urllib.request.Request(server.base_url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)
