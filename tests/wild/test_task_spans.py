"""A task has its own span with its own stages, linked to the request that submitted it."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations

PROJECT = Path(__file__).parent / "context"
BODIES: dict[str, dict[str, Any]] = {"work": {"x": 1}, "fails": {"x": 1}, "batched": {"xs": [1]}}


def ask(server: ServerProcess, path: str, body: Any = None, flags: str = "01") -> tuple[str, Any]:
    trace_id = secrets.token_hex(16)
    headers = {"content-type": "application/json", "traceparent": f"00-{trace_id}-{'1' * 16}-{flags}"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(
        urllib.request.Request(f"{server.base_url}{path}", data, headers), timeout=20
    ) as answer:
        return trace_id, json.load(answer)


def submit(server: ServerProcess, api: str, flags: str = "01") -> str:
    """Submit a task on a connection that is closed at once, and wait for its end; return the submission's trace id."""
    trace_id, answer = ask(server, f"/{api}/submit", BODIES[api], flags)
    deadline_s = time.monotonic() + 20
    while ask(server, f"/{api}/status?task_id={answer['task_id']}", flags="00")[1]["status"] == "in_progress":
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return trace_id


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], list[SpanRecord]]]:
    with OtlpReceiver() as receiver:
        spec = ServerSpec(
            target="tasks:Tasks",
            working_dir=PROJECT,
            as_="monitored",
            env=receiver.environment | {"BENTO_MONITOR_TRACE_TAIL_SAMPLING": "failed"},
            home=tmp_path_factory.mktemp("tasks"),
        )
        with start_server(spec) as server:
            ids = {api: submit(server, api) for api in BODIES}
            ids["not sampled"] = submit(server, "work", flags="00")
            ids["failed, not sampled"] = submit(server, "fails", flags="00")
        yield ids, receiver.spans()


def task_of(seen: tuple[dict[str, str], list[SpanRecord]], name: str) -> list[SpanRecord]:
    ids, spans = seen
    return [
        span for span in spans if span.name.startswith("task ") and ids[name] in {link.trace_id for link in span.links}
    ]


@pytest.mark.parametrize("api", list(BODIES))
def test_task_is_a_span_linked_to_its_submission(seen: tuple[dict[str, str], list[SpanRecord]], api: str) -> None:
    ids, spans = seen
    (submission,) = [span for span in spans if span.trace_id == ids[api] and span.kind == "SERVER"]
    (task,) = task_of(seen, api)
    assert (submission.name, task.name, task.kind) == (f"POST /{api}/submit", f"task {api}", "CONSUMER")
    assert [(link.trace_id, link.span_id) for link in task.links] == [(submission.trace_id, submission.span_id)]
    assert task.attributes[names.API_NAME] == api
    assert names.HTTP_ROUTE not in task.attributes


def test_task_has_its_own_stages_and_the_submission_has_none(
    seen: tuple[dict[str, str], list[SpanRecord]],
) -> None:
    ids, spans = seen
    (task,) = task_of(seen, "work")
    assert task.attributes[names.STAGE_INFER] >= 190_000_000
    (mine,) = [span for span in spans if span.name == "mine" and span.trace_id == task.trace_id]
    assert task.start_ns <= mine.start_ns <= mine.end_ns <= task.end_ns
    (submission,) = [span for span in spans if span.trace_id == ids["work"] and span.kind == "SERVER"]
    assert names.STAGE_INFER not in submission.attributes
    assert submission.duration_ns < 150_000_000


def test_batched_task_is_computed_after_its_client_left(
    seen: tuple[dict[str, str], list[SpanRecord]],
) -> None:
    (task,) = task_of(seen, "batched")
    assert task.attributes[names.STAGE_INFER] >= 90_000_000
    assert not task.is_error


def test_failed_task_is_an_error_and_kept_even_if_not_sampled(
    seen: tuple[dict[str, str], list[SpanRecord]],
) -> None:
    for name in ("fails", "failed, not sampled"):
        (task,) = task_of(seen, name)
        assert task.is_error
        assert task.attributes[names.ERROR_TYPE] == "500"
    assert task_of(seen, "not sampled") == []


def test_every_trace_keeps_the_laws(seen: tuple[dict[str, str], list[SpanRecord]]) -> None:
    assert find_violations(seen[1]) == []
