"""The trace laws on the exports of live services: ours keep them on both paths, BentoML's own traces do not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mixed_load import REQUESTS, STATUSES, send_mixed_load

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations, read_jaeger

SERVICES = Path(__file__).parent / "services"


def plain(home: Path, **env: str) -> ServerSpec:
    return ServerSpec(
        target="plain:Plain",
        working_dir=SERVICES,
        as_="monitored",
        env={"BENTO_MONITOR_HOME": str(home / "monitor"), **env},
        home=home / "bentoml",
    )


@pytest.fixture(scope="module")
def spans(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[SpanRecord]:
    home = tmp_path_factory.mktemp("laws")
    with OtlpReceiver() as receiver:
        with start_server(plain(home, BENTO_MONITOR_FAST_PATH=request.param, **receiver.environment)) as server:
            send_mixed_load(server)
        return receiver.spans()


BOTH_PATHS = pytest.mark.parametrize("spans", ["true", "false"], ids=["fast path", "BentoML's path"], indirect=True)


@BOTH_PATHS
def test_traces_of_a_mixed_load_keep_every_law(spans: list[SpanRecord]) -> None:
    assert find_violations(spans, requests=REQUESTS) == []
    statuses = [span.attributes[names.HTTP_RESPONSE_STATUS_CODE] for span in spans if span.kind == "SERVER"]
    assert Counter(statuses) == Counter(STATUSES)


@BOTH_PATHS
def test_every_stage_of_an_answered_request_has_its_time(spans: list[SpanRecord]) -> None:
    def stages_of(name: str) -> set[str]:
        answered = (
            span for span in spans if span.name == name and span.attributes[names.HTTP_RESPONSE_STATUS_CODE] == 200
        )
        return set(names.STAGES) & set(next(answered).attributes)

    every, of_batches = set(names.STAGES), {names.STAGE_ASSEMBLE, names.STAGE_THREAD_WAIT}
    assert stages_of("POST /batched") == every
    assert stages_of("POST /sync") == every - of_batches
    assert stages_of("POST /asynchronous") == every - of_batches - {names.STAGE_QUEUE}


def test_traces_of_bentoml_break_a_law(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        otlp = {"protocol": "http", "endpoint": f"{receiver.endpoint}/v1/traces"}
        tracing = {"exporter_type": "otlp", "sample_rate": 1.0, "otlp": otlp}
        env = {"BENTOML_CONFIG_OVERRIDES": json.dumps({"services": {"Plain": {"tracing": tracing}}})}
        with start_server(ServerSpec(target="plain:Plain", working_dir=SERVICES, env=env, home=tmp_path)) as server:
            send_mixed_load(server)
            # Before the stop: BentoML loses spans that it has not exported by then.
            found = receiver.wait_for_spans(lambda spans: any(span.kind == "SERVER" for span in spans))
    assert find_violations(found)


def test_traces_read_from_jaeger_keep_every_law(jaeger: Any, tmp_path: Path) -> None:
    with start_server(plain(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=jaeger.otlp_http_endpoint)) as server:
        trace_ids = send_mixed_load(server)
    spans = read_jaeger(jaeger.query_url, trace_ids)
    batches = {link.trace_id for span in spans for link in span.links}
    assert batches
    assert find_violations([*spans, *read_jaeger(jaeger.query_url, batches)], requests=REQUESTS) == []
