"""One request is one trace below our server span, whatever tracing a framework has, without client input in spans."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from opentelemetry.instrumentation import auto_instrumentation

from bento_monitor.conventions import SCOPE_NAME
from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.lab.server.server_spec import ServedAs, ServerSpec
from bento_monitor.serving.ports import free_port
from bento_monitor.testing import OtlpReceiver, SpanRecord

PROJECT = Path(__file__).parent / "context"
MOUNTS = ("fastapi", "instrumented_fastapi", "instrumented_starlette", "instrumented_asgi", "starlette", "plain")
# Like `opentelemetry-instrument` and the Kubernetes operator: a sitecustomize that is found first.
BY_OPERATOR = {
    "PYTHONPATH": os.pathsep.join([str(Path(auto_instrumentation.__file__).parent), str(PROJECT)]),
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
}
ARMS: dict[str, tuple[ServedAs, dict[str, str]]] = {
    "bento-monitor serve": ("monitored", {}),
    "instrumented bento-monitor serve": ("monitored", BY_OPERATOR),
    "instrumented bentoml serve": ("stock", BY_OPERATOR),
}
# Parts of a client's request; none of them may be in a span.
SECRETS = ("secret-agent", "secret-path", "secret-query", "203.0.113.9", "secret.example")
SENT = {"user-agent": SECRETS[0], "x-forwarded-for": SECRETS[3], "host": SECRETS[4]}


class Seen:
    """The responses of an arm, and its spans by trace."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, bool], bytes] = {}
        self.traces: dict[str, list[SpanRecord]] = {}
        self.log = ""


def get(server: ServerProcess, path: str, **headers: str) -> bytes:
    request = urllib.request.Request(server.base_url + path, headers={**SENT, **headers})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


def trace_of(mount: str) -> str:
    return f"{MOUNTS.index(mount) + 1:032x}"


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    home = tmp_path_factory.mktemp("frameworks")
    found = {name: Seen() for name in ARMS}
    with ExitStack() as stack:
        receivers = {name: stack.enter_context(OtlpReceiver()) for name in ARMS}
        specs = [
            ServerSpec(
                target="frameworks:Frameworks",
                working_dir=PROJECT,
                as_=as_,
                env={**env, **receivers[name].environment},
                home=home / name.replace(" ", "-"),
                log=home / f"{name}.log",
            )
            for name, (as_, env) in ARMS.items()
        ]
        with start_servers(specs) as servers:
            for seen, server in zip(found.values(), servers, strict=True):
                for mount in MOUNTS:
                    path = f"/{mount}/items/{SECRETS[1]}?token={SECRETS[2]}"
                    seen.answers[mount, False] = get(server, path, baggage="tenant=acme")
                    parent = f"00-{trace_of(mount)}-{'1' * 16}-01"
                    seen.answers[mount, True] = get(server, path, traceparent=parent, tracestate="vendor=1")
        for name, seen in found.items():
            seen.log = (home / f"{name}.log").read_text()
            for span in receivers[name].spans():
                seen.traces.setdefault(span.trace_id, []).append(span)
    return found


def is_ours(span: SpanRecord) -> bool:
    return span.scope == SCOPE_NAME and span.kind == "SERVER"


@pytest.mark.parametrize("name", ARMS)
def test_every_request_is_one_trace_below_our_server_span(arms: dict[str, Seen], name: str) -> None:
    routes: Counter[str] = Counter()
    for trace_id, spans in arms[name].traces.items():
        ours = [span for span in spans if is_ours(span)]
        if not ours:  # we do not trace health endpoints
            assert all("readyz" in span.name or "livez" in span.name for span in spans)
            continue
        (server,) = ours
        routes[str(server.attributes["http.route"])] += 1
        ids = {span.span_id for span in spans}
        assert all(span.parent_span_id in ids for span in spans if span is not server), spans
        is_continued = trace_id in map(trace_of, MOUNTS)
        assert server.parent_span_id == ("1" * 16 if is_continued else None)
    assert routes == {f"/{mount}/items/{{item}}": 2 for mount in MOUNTS}


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("mount", MOUNTS)
def test_frameworks_with_their_own_tracing_use_it(arms: dict[str, Seen], name: str, mount: str) -> None:
    """Otherwise these tests would prove nothing; with a sitecustomize, all frameworks do."""
    scopes = {span.scope for span in arms[name].traces[trace_of(mount)]}
    assert SCOPE_NAME in scopes
    assert (len(scopes) > 1) == (mount != "plain" or name != "bento-monitor serve")


@pytest.mark.parametrize("mount", ["instrumented_starlette", "instrumented_asgi", "starlette", "plain"])
def test_application_reads_our_span_as_its_caller(arms: dict[str, Seen], mount: str) -> None:
    seen = arms["bento-monitor serve"]
    continued, begun = (json.loads(seen.answers[mount, is_continued]) for is_continued in (True, False))
    (server,) = filter(is_ours, seen.traces[trace_of(mount)])
    assert continued == {
        "traceparent": f"00-{trace_of(mount)}-{server.span_id}-01",
        "tracestate": "vendor=1",
        "baggage": None,
    }
    (server,) = filter(is_ours, seen.traces[begun["traceparent"].split("-")[1]])
    assert begun == {
        "traceparent": f"00-{server.trace_id}-{server.span_id}-01",
        "tracestate": None,
        "baggage": "tenant=acme",
    }


def test_spans_have_no_client_input_without_a_provider_of_the_author(arms: dict[str, Seen]) -> None:
    spans = [span for spans in arms["bento-monitor serve"].traces.values() for span in spans]
    assert {span.scope for span in spans} > {SCOPE_NAME, "fastapi", "starlette"}
    for span in spans:
        text = json.dumps([span.name, dict(span.attributes)])
        assert not [secret for secret in SECRETS if secret in text], text
        assert "127.0.0.1" not in text


@pytest.mark.parametrize("name", ARMS)
def test_log_line_has_the_ids_of_our_server_span(arms: dict[str, Seen], name: str) -> None:
    logged = re.findall(r"path=/[a-z_]+/items/.*\(trace=([0-9a-f]+),span=([0-9a-f]+),", arms[name].log)
    ours = [span for spans in arms[name].traces.values() for span in spans if is_ours(span)]
    assert sorted(logged) == sorted((span.trace_id, span.span_id) for span in ours)


def test_command_behind_bentoml_is_in_the_requests_trace(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        spec = ServerSpec(
            target="commanded:Commanded",
            working_dir=PROJECT,
            env={**receiver.environment, "COMMAND_PORT": str(free_port())},
            home=tmp_path,
        )
        with start_servers([spec]) as (server,):
            continued = get(server, "/v1/models", traceparent=f"00-{'a' * 32}-{'1' * 16}-01").decode()
            begun = get(server, "/v1/models").decode()
    for carried, trace_id in ((continued, "a" * 32), (begun, begun.split("-")[1])):
        spans = [span for span in receiver.spans() if span.trace_id == trace_id]
        (server_span,) = filter(is_ours, spans)
        assert carried == f"00-{trace_id}-{server_span.span_id}-01"
        assert "fastapi" in {span.scope for span in spans}
        assert {span.parent_span_id for span in spans if span is not server_span} <= {span.span_id for span in spans}
    assert len({span.trace_id for span in receiver.spans()}) == 2
