"""The checker of traces: lawful traces break no law, and each broken law is found and named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bento_monitor import conventions as names
from bento_monitor.testing import SpanLink, SpanRecord, Violation, find_violations

BATCH_TRACE = "b" * 32


def span(trace: str, span_id: str, name: str, start_ns: int, end_ns: int, **fields: Any) -> SpanRecord:
    values = {"parent_span_id": None, "kind": "INTERNAL", "attributes": {}, "links": ()} | fields
    return SpanRecord(
        trace_id=trace,
        span_id=span_id,
        name=name,
        service="s",
        start_ns=start_ns,
        end_ns=end_ns,
        is_error=False,
        **values,
    )


def lawful() -> dict[str, SpanRecord]:
    """Return two requests in one batch whose model ran for 30 ns; one of them has a user span."""
    spans = {}
    for number, start_ns in ((1, 1000), (2, 1010)):
        trace, server, infer = str(number) * 32, f"server{number}", f"infer{number}"
        stages = {names.STAGE_QUEUE: 1100 - start_ns, names.STAGE_INFER: 100, names.UNACCOUNTED_NS: 0}
        spans[server] = span(trace, server, "POST /x", start_ns, 1200, kind="SERVER", attributes=stages)
        spans[f"queue{number}"] = span(trace, f"queue{number}", "queue", start_ns, 1100, parent_span_id=server)
        spans[infer] = span(
            trace,
            infer,
            "infer",
            1100,
            1200,
            parent_span_id=server,
            attributes={names.BATCH_SIZE: 2, names.MODEL_SHARE_NS: 15},
            links=(SpanLink(BATCH_TRACE, "batch"),),
        )
    spans["batch"] = span(
        BATCH_TRACE,
        "batch",
        "batch",
        1100,
        1200,
        attributes={names.BATCH_SIZE: 2, names.BATCH_LINKED: 2},
        links=(SpanLink("1" * 32, "infer1"), SpanLink("2" * 32, "infer2")),
    )
    spans["model"] = span(BATCH_TRACE, "model", "model", 1110, 1140, parent_span_id="batch")
    spans["user"] = span(BATCH_TRACE, "user", "tokenise", 1100, 1105, parent_span_id="batch", scope="of the user")
    return spans


def test_lawful_traces_break_no_law() -> None:
    assert find_violations(list(lawful().values()), requests=2) == []


def without(name: str) -> Callable[[dict[str, SpanRecord]], None]:
    return lambda spans: spans.__delitem__(name)


def changed(name: str, **fields: Any) -> Callable[[dict[str, SpanRecord]], None]:
    def change(spans: dict[str, SpanRecord]) -> None:
        spans[name] = replace(spans[name], **fields)

    return change


def added(name: str, of: str, **fields: Any) -> Callable[[dict[str, SpanRecord]], None]:
    return lambda spans: spans.__setitem__(name, replace(spans[of], span_id=name, **fields))


BROKEN = [
    (lambda spans: spans.__setitem__("again", spans["model"]), "every span once"),
    (added("other", "server1"), "one server span per request"),
    (added("other", "server1", parent_span_id="server1"), "one server span per request"),
    (without("server1"), "one server span per request"),
    (without("server1"), "no orphans"),
    (without("batch"), "no orphans"),
    (changed("user", parent_span_id=None), "no orphans"),
    (changed("user", start_ns=1050), "children within their parents"),
    (changed("user", end_ns=1300), "children within their parents"),
    (changed("user", end_ns=1090), "children within their parents"),
    (without("infer1"), "links both ways"),
    (changed("batch", links=()), "links both ways"),
    (changed("infer1", links=()), "links both ways"),
    (changed("batch", attributes={names.BATCH_SIZE: 2, names.BATCH_LINKED: 3}), "links both ways"),
    (changed("queue1", end_ns=1090), "stages sum to the request"),
    (changed("queue1", end_ns=1110), "stages sum to the request"),
    (changed("server1", attributes={}), "stages sum to the request"),
    (changed("server1", attributes={names.UNACCOUNTED_NS: 1}), "stages sum to the request"),
    (changed("model", end_ns=1150), "shares sum to the model time"),
    (changed("model", attributes={"http.request.header.cookie": "x"}), "attributes on the allow-list"),
    (changed("model", attributes={"bento_monitor.captured.text": "x"}), "attributes on the allow-list"),
]


def test_captured_inputs_are_lawful_on_the_server_span() -> None:
    spans = lawful()
    captured = {"bento_monitor.captured.text": "x"}
    spans["server1"] = replace(spans["server1"], attributes={**spans["server1"].attributes, **captured})
    assert find_violations(list(spans.values())) == []


@pytest.mark.parametrize(("break_it", "law"), BROKEN)
def test_broken_law_is_named(break_it: Callable[[dict[str, SpanRecord]], Any], law: str) -> None:
    spans = lawful()
    break_it(spans)
    laws = {violation.law for violation in find_violations(list(spans.values()), requests=2)}
    assert law in laws


def test_named_background_task_may_outlive_its_request() -> None:
    spans = lawful()
    spans["user"] = replace(spans["user"], end_ns=1300)
    assert find_violations(list(spans.values()), outliving=["tokenise"]) == []


def test_spans_of_callers_and_other_clocks_are_no_violation() -> None:
    spans = lawful()
    spans["server1"] = replace(spans["server1"], parent_span_id="of a caller")
    spans["call"] = span("2" * 32, "call", "POST", 1150, 1160, kind="CLIENT", parent_span_id="infer2", scope="a client")
    spans["callee"] = replace(
        spans["server1"], trace_id="2" * 32, span_id="callee", parent_span_id="call", service="t", start_ns=1, end_ns=2
    )
    spans["callee"] = replace(spans["callee"], attributes={names.UNACCOUNTED_NS: 1})
    assert find_violations(list(spans.values()), requests=3) == []


def test_violation_names_its_span() -> None:
    assert str(Violation("a law", "t", "s", "it is broken")) == "a law: it is broken (span s of trace t)"
    assert str(Violation("a law", "", None, "1 of 2")) == "a law: 1 of 2"
