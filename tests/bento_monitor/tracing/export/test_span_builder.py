from __future__ import annotations

import random
from collections import Counter

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

from bento_monitor import conventions as names
from bento_monitor.tracing.export.span_builder import SpanBuilder
from bento_monitor.tracing.ledger.ledger import Ledger

MS = 1_000_000
OFFSET_NS = 1_700_000_000 * 10**9
STAMPS = (
    "entered_ns",
    "read_ns",
    "parsed_ns",
    "queued_ns",
    "taken_ns",
    "handed_ns",
    "started_ns",
    "ended_ns",
    "serialize_started_ns",
    "serialized_ns",
    "first_byte_ns",
    "sent_ns",
)


@pytest.fixture
def builder() -> SpanBuilder:
    return SpanBuilder(Resource({"service.name": "demo"}), lambda monotonic_ns: monotonic_ns + OFFSET_NS)


def by_name(spans):
    return {span.name: span for span in spans}


def assert_laws(spans) -> None:
    """Assert that children are within their parents without overlap, and that stages and unaccounted time add up."""
    of_id = {span.span_id: span for span in spans}
    for span in spans:
        assert span.end_ns >= span.start_ns
        if span.parent_span_id and not span.is_parent_remote:
            parent = of_id[span.parent_span_id]
            assert span.trace_id == parent.trace_id
            assert parent.start_ns <= span.start_ns <= span.end_ns <= parent.end_ns
    server = spans[0]
    moments = Counter()
    for child in spans[1:]:
        if child.parent_span_id == server.span_id and child.name != "model":
            moments.update(range(child.start_ns, child.end_ns))
    assert set(moments.values()) <= {1}
    models_ns = sum(s.end_ns - s.start_ns for s in spans if s.name == "model" and s.parent_key == server.key)
    stages_ns = sum(server.attributes.get(name, 0) for name in names.STAGES)
    accounted_ns = stages_ns + server.attributes[names.UNACCOUNTED_NS]
    # A model call outside the function, as in a mounted application, may overlap a stage.
    assert 0 <= server.end_ns - server.start_ns - accounted_ns <= models_ns


def test_unbatched_request_has_every_stage_at_its_time(builder, finished_ledger, model_call) -> None:
    ledger = finished_ledger()
    ledger.note_model_call(model_call(ledger.started_ns + MS, ledger.ended_ns - MS, 1))
    spans = builder.request(ledger)
    assert [span.name for span in spans] == ["POST /encode", "parse", "queue", "infer", "serialize", "model"]
    named = by_name(spans)
    start = ledger.received_ns + OFFSET_NS
    at = {name: ((s.start_ns - start) // MS, (s.end_ns - start) // MS) for name, s in named.items()}
    assert at["POST /encode"] == (0, 12)
    assert (at["parse"], at["queue"], at["infer"], at["serialize"]) == ((0, 1), (1, 5), (5, 9), (9, 10))
    assert at["model"] == (6, 8)
    assert named["model"].parent_span_id == ledger.infer_span_id
    assert named["model"].attributes[names.RUNNER_RELEASE] == "release-1"
    stages = {name: named["POST /encode"].attributes.get(name) for name in names.STAGES}
    assert stages == dict.fromkeys(names.STAGES) | {
        names.STAGE_SOCKET_WAIT: 0,
        names.STAGE_LOOP_WAIT: 0,
        names.STAGE_READ: 0,
        names.STAGE_PARSE: 1 * MS,
        names.STAGE_QUEUE: 4 * MS,
        names.STAGE_INFER: 4 * MS,
        names.STAGE_SPLIT: 0,
        names.STAGE_SERIALIZE: 1 * MS,
    }
    assert named["POST /encode"].attributes[names.UNACCOUNTED_NS] == 2 * MS
    assert {span.kind for span in spans[1:]} == {SpanKind.INTERNAL}
    assert spans[0].kind is SpanKind.SERVER


def test_batched_request_has_spans_for_queue_assembly_and_run(builder, finished_ledger) -> None:
    ledger = finished_ledger()
    ledger.taken_ns, ledger.handed_ns = ledger.queued_ns + MS, ledger.queued_ns + 2 * MS
    ledger.first_byte_ns = ledger.serialized_ns + MS
    spans = builder.request(ledger)
    server = spans[0]
    after_parsing = names.STAGES[names.STAGES.index(names.STAGE_QUEUE) :]
    assert [server.attributes[name] // MS for name in after_parsing] == [2, 1, 1, 4, 0, 1, 1, 1]
    assert server.attributes[names.UNACCOUNTED_NS] == 0
    queue = by_name(spans)["queue"]
    assert queue.end_ns - queue.start_ns == 2 * MS


def test_children_are_within_their_parents_whatever_the_stamps(builder, finished_ledger, model_call) -> None:
    chance = random.Random(3)
    for _ in range(300):
        ledger = finished_ledger(1000)
        for stamp in STAMPS:
            setattr(ledger, stamp, chance.choice([0, 1000 + chance.randrange(-50, 200)]))
        ledger.note_model_call(model_call(900 + chance.randrange(200), 1000 + chance.randrange(300), 1))
        assert_laws(builder.request(ledger))


def test_caller_is_the_parent_of_the_server_span(builder) -> None:
    ledger = Ledger(trace_id=5, parent_span_id=6, sampled=True, received_ns=1)
    ledger.method, ledger.trace_state, ledger.sent_ns = "GET", "a=1", 9
    (server,) = builder.request(ledger)
    assert (server.name, server.parent_span_id, server.is_parent_remote) == ("GET", 6, True)
    assert server.trace_state == "a=1"
    assert names.HTTP_ROUTE not in server.attributes


def test_unknown_http_method_is_not_in_the_span_name(builder, finished_ledger) -> None:
    ledger = finished_ledger()
    ledger.method = "SECRET"
    server = builder.request(ledger)[0]
    assert (server.name, server.attributes[names.HTTP_REQUEST_METHOD]) == ("HTTP /encode", "_OTHER")


def test_request_that_ended_in_the_queue_has_a_closed_queue_span_only(builder, finished_ledger) -> None:
    ledger = finished_ledger()
    ledger.started_ns = ledger.ended_ns = ledger.serialize_started_ns = ledger.serialized_ns = 0
    ledger.status, ledger.error_type = 0, "CancelledError"
    spans = builder.request(ledger)
    assert [span.name for span in spans] == ["POST /encode", "parse", "queue"]
    assert spans[2].end_ns == spans[0].end_ns
    assert spans[0].is_error
    assert names.HTTP_RESPONSE_STATUS_CODE not in spans[0].attributes


@pytest.mark.parametrize(("status", "is_error"), [(200, False), (404, False), (429, False), (500, True), (504, True)])
def test_only_server_failures_are_errors(builder, finished_ledger, status: int, is_error: bool) -> None:
    ledger = finished_ledger()
    ledger.status = status
    server = builder.request(ledger)[0]
    assert server.is_error == is_error
    assert server.attributes.get(names.ERROR_TYPE) == (str(status) if is_error else None)


def test_batch_and_requests_link_to_each_other_and_only_sampled_ones_are_built(builder, finished_batch) -> None:
    record = finished_batch(200, sampled=lambda index: index % 2 == 0)
    batch, model = builder.batch(record)
    linked = set(batch.links)
    assert len(batch.links) == 100
    assert batch.parent_key is None
    assert batch.attributes[names.BATCH_SIZE] == 200
    assert batch.attributes[names.BATCH_LINKED] == 100
    assert model.parent_key == batch.key
    for member in record.members:
        spans = builder.request(member)
        assert bool(spans) == member.sampled
        if spans:
            infer = by_name(spans)["infer"]
            assert infer.key in linked
            assert list(infer.links) == [batch.key]
            assert infer.attributes[names.BATCH_POSITION] == member.batch_position
            assert (infer.start_ns, infer.end_ns) == (batch.start_ns, batch.end_ns)
            assert "model" not in by_name(spans)


def test_request_shares_of_a_batch_add_up_to_its_model_time(builder, finished_batch) -> None:
    record = finished_batch(4)
    shares = [by_name(builder.request(member))["infer"].attributes[names.MODEL_SHARE_NS] for member in record.members]
    assert sum(shares) == 2 * MS


def test_batch_without_a_sampled_request_is_not_exported(builder, finished_batch) -> None:
    assert builder.batch(finished_batch(3, sampled=lambda index: False)) == []


def test_failed_batch_is_an_error_in_its_span_and_its_requests(builder, finished_batch) -> None:
    record = finished_batch(1)
    record.error_type = "ValueError"
    infer = by_name(builder.request(record.members[0]))["infer"]
    assert builder.batch(record)[0].is_error
    assert infer.is_error


def test_only_attributes_on_the_allow_list_are_exported(
    builder, finished_batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = finished_batch(1)
    spans = [*builder.batch(record), *builder.request(record.members[0])]
    assert all(set(span.attributes) <= names.ALLOWED_ATTRIBUTES for span in spans)
    monkeypatch.setattr("bento_monitor.tracing.privacy.allow_list.ALLOWED_ATTRIBUTES", frozenset({names.HTTP_ROUTE}))
    assert {key for span in builder.request(record.members[0]) for key in span.attributes} == {names.HTTP_ROUTE}
