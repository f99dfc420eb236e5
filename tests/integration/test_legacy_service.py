"""A legacy service and its runners: the same spans as a new-style service, also across a runner's process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from bento_monitor import conventions as names
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations

SERVICES = Path(__file__).parent / "services"
BATCHED = 40
FAILURES = [(500, True), (400, False)]
CALLER = ("c" * 32, "d" * 16)


@dataclass(frozen=True)
class Answer:
    status: int
    body: str


def ask(server: ServerProcess, path: str, body: object, **headers: str) -> Answer:
    data = body if isinstance(body, str) else json.dumps(body)
    kind = "text/plain" if isinstance(body, str) else "application/json"
    request = urllib.request.Request(server.base_url + path, data.encode(), {"Content-Type": kind, **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode())


def send_load(server: ServerProcess) -> list[Answer]:
    one_by_one = [
        ask(server, "/threaded", [[3]]),
        ask(server, "/sums/add", {"left": [1], "right": [2]}, traceparent=f"00-{CALLER[0]}-{CALLER[1]}-01"),
        ask(server, "/embedded", [[4]]),
        ask(server, "/stream", "3"),
        ask(server, "/fails", {}),
        ask(server, "/batched", [[-1]]),
        ask(server, "/batched", [[each] for each in range(20)]),  # larger than a batch
        ask(server, "/fails", "no JSON"),
        ask(server, "/nowhere", {}),
    ]
    with ThreadPoolExecutor(16) as clients:
        return one_by_one + list(clients.map(lambda x: ask(server, "/batched", [[x]]), range(BATCHED)))


@dataclass(frozen=True)
class Served:
    answers: list[Answer]
    spans: list[SpanRecord]

    def servers(self, service: str, name: str) -> list[SpanRecord]:
        return [span for span in self.spans if (span.service, span.name, span.kind) == (service, name, "SERVER")]

    def below(self, parent: SpanRecord) -> list[SpanRecord]:
        return [
            each for each in self.spans if (each.trace_id, each.parent_span_id) == (parent.trace_id, parent.span_id)
        ]

    def one_below(self, parent: SpanRecord, name: str) -> SpanRecord:
        (found,) = [each for each in self.below(parent) if each.name == name]
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("legacy")
    with OtlpReceiver() as receiver:
        env = {**receiver.environment, "BENTOML_API_WORKERS": "1"}
        spec = ServerSpec(target="legacy:svc", working_dir=SERVICES, env=env, home=home / "bentoml")
        with start_server(spec) as server:
            answers = send_load(server)
        yield Served(answers, receiver.spans())


def test_responses_are_those_of_the_service(served: Served) -> None:
    assert served.answers[:4] == [
        Answer(200, "[[6]]"),
        Answer(200, "[3]"),
        Answer(200, "[[8]]"),
        Answer(200, "0,1,2,"),
    ]
    assert [answer.status for answer in served.answers[4:9]] == [500, 500, 200, 400, 404]
    assert json.loads(served.answers[6].body) == [[2 * each] for each in range(20)]
    assert [answer.body for answer in served.answers[9:]] == [f"[[{2 * x}]]" for x in range(BATCHED)]


def test_traces_keep_every_law(served: Served) -> None:
    calls = [span for span in served.spans if span.name == names.SPAN_RUNNER]
    assert find_violations(served.spans, requests=len(served.answers) + len(calls)) == []
    statuses = Counter(
        span.attributes[names.HTTP_RESPONSE_STATUS_CODE]
        for span in served.spans
        if span.kind == "SERVER" and span.service == "legacy_service"
    )
    assert statuses == Counter(answer.status for answer in served.answers)


def test_request_has_its_api_route_and_stages(served: Served) -> None:
    (threaded,) = served.servers("legacy_service", "POST /threaded")
    stages = {name for name in names.STAGES if name in threaded.attributes}
    of_batches = {names.STAGE_ASSEMBLE, names.STAGE_THREAD_WAIT}
    assert stages == set(names.STAGES) - of_batches
    (added,) = served.servers("legacy_service", "POST /sums/add")
    assert added.attributes[names.API_NAME] == "both"
    assert added.attributes[names.HTTP_ROUTE] == "/sums/add"
    assert (added.trace_id, added.parent_span_id) == CALLER
    failed = served.servers("legacy_service", "POST /fails")
    assert [(each.attributes[names.HTTP_RESPONSE_STATUS_CODE], each.is_error) for each in failed] == FAILURES


def test_call_of_an_embedded_runner_is_a_model_span(served: Served) -> None:
    (request,) = served.servers("legacy_service", "POST /embedded")
    model = served.one_below(served.one_below(request, names.SPAN_INFER), names.SPAN_MODEL)
    assert model.attributes[names.RUNNER_NAME] == "inside_model"
    assert model.attributes[names.BATCH_ROWS] == 1


def test_call_to_a_runners_process_is_in_the_same_trace(served: Served) -> None:
    (request,) = served.servers("legacy_service", "POST /sums/add")
    infer = served.one_below(request, names.SPAN_INFER)
    assert {each.name for each in served.below(infer)} == {
        names.SPAN_RUNNER,
        names.SPAN_MODEL,
    }  # the other runner is embedded
    call = served.one_below(infer, names.SPAN_RUNNER)
    assert call.kind == "CLIENT"
    (runner,) = served.below(call)
    assert (runner.service, runner.name, runner.kind) == ("remote_model", "POST /add", "SERVER")
    model = served.one_below(served.one_below(runner, names.SPAN_INFER), names.SPAN_MODEL)
    assert model.attributes[names.RUNNER_NAME] == "remote_model"


def test_batch_of_a_runners_process_links_each_of_its_requests(served: Served) -> None:
    members = served.servers("remote_model", "POST /double")
    assert len(members) == BATCHED + 3
    batches = [span for span in served.spans if span.name == names.SPAN_BATCH]
    assert all(batch.service == "remote_model" for batch in batches)
    assert max(batch.attributes[names.BATCH_ROWS] for batch in batches) > 1
    assert all(batch.attributes[names.BATCH_ROWS] <= 8 for batch in batches)
    linked = {(link.trace_id, link.span_id) for batch in batches for link in batch.links}
    infers = {(each.trace_id, each.span_id) for each in (served.one_below(one, names.SPAN_INFER) for one in members)}
    assert linked == infers
    assert {names.SPAN_MODEL} == {each.name for batch in batches for each in served.below(batch)}


def test_service_records_streams_and_failures_of_a_runner(served: Served) -> None:
    (request,) = served.servers("legacy_service", "POST /stream")
    call = served.one_below(served.one_below(request, names.SPAN_INFER), names.SPAN_RUNNER)
    (runner,) = served.below(call)
    assert runner.name == "POST /count"
    failed = [span for span in served.spans if span.name == names.SPAN_RUNNER and span.is_error]
    assert [span.attributes[names.ERROR_TYPE] for span in failed] == ["RemoteException"]
