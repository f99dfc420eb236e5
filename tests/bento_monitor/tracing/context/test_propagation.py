from __future__ import annotations

import logging

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current, set_value
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Decision, ParentBasedTraceIdRatio
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bento_monitor.tracing.context.caller import clean_trace_state, parse_traceparent
from bento_monitor.tracing.context.propagation import context_of_batch, enter_request, span_context_of, start_ledger

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (VALID, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-x", True),
    ],
)
def test_valid_traceparent_is_read(header: str, sampled: bool) -> None:
    parent = parse_traceparent(header.encode())
    assert parent is not None
    assert (f"{parent.trace_id:032x}", f"{parent.span_id:016x}", parent.sampled) == (TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        VALID.upper(),
        VALID[:-1],
        VALID + "-extra",
        VALID + "0",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}_-{SPAN}-01",
        f"00-{TRACE}-+{SPAN[1:]}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00_{TRACE}_{SPAN}_01",
        VALID + "\n",
    ],
)
def test_invalid_traceparent_starts_a_new_trace(header: str) -> None:
    assert parse_traceparent(header.encode()) is None
    ledger = start_ledger([(b"traceparent", header.encode()), (b"tracestate", b"a=1")], 7, DEFAULT_ON)
    assert (ledger.parent_span_id, ledger.sampled, ledger.trace_state, ledger.received_ns) == (0, True, None, 7)
    assert ledger.trace_id != int(TRACE, 16)


def test_repeated_traceparent_is_ignored() -> None:
    ledger = start_ledger([(b"traceparent", VALID.encode())] * 2, 0, DEFAULT_ON)
    assert ledger.parent_span_id == 0


def test_unsampled_caller_is_respected_unless_the_sampler_overrides_it() -> None:
    headers = [(b"traceparent", VALID.removesuffix("1").encode() + b"0")]
    assert not start_ledger(headers, 0, DEFAULT_ON).sampled
    assert not start_ledger([(b"traceparent", VALID.encode())], 0, ALWAYS_OFF).sampled
    never_of_its_own = ParentBasedTraceIdRatio(0.0)
    assert not start_ledger([], 0, never_of_its_own).sampled
    assert start_ledger([(b"traceparent", VALID.encode())], 0, never_of_its_own).sampled


def test_outgoing_call_has_the_tracestate_and_the_server_span_as_parent() -> None:
    headers = [(b"traceparent", VALID.encode()), (b"tracestate", b"a=1"), (b"tracestate", b"b@v=2, c=3")]
    ledger = start_ledger(headers, 0, DEFAULT_ON)
    carrier: dict[str, str] = {}
    token = enter_request(ledger)
    TraceContextTextMapPropagator().inject(carrier)
    detach(token)
    assert carrier == {"traceparent": f"00-{TRACE}-{ledger.span_id:016x}-01", "tracestate": "a=1,b@v=2,c=3"}


def test_surrounding_context_is_kept_during_and_after_a_request() -> None:
    ledger = start_ledger([], 0, DEFAULT_ON)
    outer = attach(set_value("mine", 1, Context()))
    token = enter_request(ledger)
    assert get_current()["mine"] == 1
    assert trace.get_current_span().get_span_context() == span_context_of(ledger)
    detach(token)
    assert get_current() == {"mine": 1}
    detach(outer)


def test_long_tracestate_keeps_whole_entries_within_512_characters() -> None:
    entries = [f"v{index}={'x' * 100}" for index in range(10)]
    kept = clean_trace_state(",".join(entries))
    assert kept == ",".join(entries[:4])
    exactly = f"a={'x' * 254},b={'y' * 253}"
    assert len(exactly) == 512
    assert clean_trace_state(exactly) == exactly


def test_first_entries_of_too_many_tracestates_are_kept() -> None:
    entries = [f"v{index}=x" for index in range(1000)]
    kept = entries[:32]
    assert clean_trace_state(",".join(entries)) == ",".join(kept)
    headers = [(b"traceparent", VALID.encode()), *((b"tracestate", entry.encode()) for entry in entries)]
    assert start_ledger(headers, 0, DEFAULT_ON).trace_state == ",".join(kept)
    assert clean_trace_state(f"a={'x' * 60_000}") is None


@pytest.mark.parametrize("text", ["", " , ", "A=1", "a", "a=1,a=2", "a=b=c", "a=\x00", "a=é"])
def test_malformed_tracestate_is_dropped_silently(text: str, caplog: pytest.LogCaptureFixture) -> None:
    headers = [(b"traceparent", VALID.encode()), (b"tracestate", text.encode("latin-1"))]
    with caplog.at_level(logging.DEBUG):
        ledger = start_ledger(headers, 0, DEFAULT_ON)
        assert not span_context_of(ledger).trace_state
    assert ledger.trace_state is None
    assert not caplog.records


def test_batch_has_its_own_context_sampled_if_a_request_is(finished_batch) -> None:
    record = finished_batch(3, sampled=lambda index: index == 2)
    context = trace.get_current_span(context_of_batch(record)).get_span_context()
    assert (context.trace_id, context.span_id) == (record.trace_id, record.span_id)
    assert context.trace_flags.sampled
    unsampled = trace.get_current_span(context_of_batch(finished_batch(2, sampled=lambda index: False)))
    assert not unsampled.get_span_context().trace_flags.sampled


@pytest.mark.parametrize("rate", [0.0, 1e-07, 0.01, 0.5, 1.0])
def test_ratio_decides_by_the_trace_id_like_the_sdk(rate: float) -> None:
    sampler = ParentBasedTraceIdRatio(rate)
    assert not start_ledger([(b"traceparent", VALID[:-2].encode() + b"00")], 0, sampler).sampled
    for _ in range(300):
        ledger = start_ledger([], 0, sampler)
        asked = sampler.should_sample(Context(), ledger.trace_id, "", trace.SpanKind.SERVER)
        assert ledger.sampled == (asked.decision is Decision.RECORD_AND_SAMPLE)
