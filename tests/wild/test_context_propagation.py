"""OpenTelemetry's propagators read the caller's context; user code and its calls have it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.tracing.context.caller import NO_CALLER, CallerReader

PROJECT = Path(__file__).parent / "context"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
ALIKE = ("stock", "ours", "BentoML's path", "untraced")
SETTINGS = {
    "stock": {},
    "ours": {},
    "BentoML's path": {"BENTO_MONITOR_FAST_PATH": "false"},
    "untraced": {"BENTO_MONITOR_TRACING": "false"},
    "own propagator": {"OWN_PROPAGATOR": "1"},
    "none": {"OTEL_PROPAGATORS": "none"},
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServerProcess]]:
    home = tmp_path_factory.mktemp("context")
    specs = [
        ServerSpec(
            target="service:Caller",
            working_dir=PROJECT,
            as_="stock" if name == "stock" else "monitored",
            env=env,
            home=home / name.replace(" ", "-").replace("'", ""),
        )
        for name, env in SETTINGS.items()
    ]
    with ExitStack() as stack:
        yield dict(zip(SETTINGS, stack.enter_context(start_servers(specs)), strict=True))


def ask(server: ServerProcess, api: str, headers: dict[str, str], body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{server.base_url}/{api}",
        data=json.dumps({} if body is None else body).encode(),
        headers={"content-type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


@pytest.mark.parametrize("api", ["sync", "on_loop"])
@pytest.mark.parametrize("name", ALIKE)
def test_user_code_has_the_callers_baggage_and_propagates_its_trace(
    servers: dict[str, ServerProcess], name: str, api: str
) -> None:
    found = ask(servers[name], api, {"traceparent": PARENT, "tracestate": "a=1", "baggage": "tenant=acme,tier=gold"})
    assert found["baggage"] == {"tenant": "acme", "tier": "gold"}
    assert found["sends"]["baggage"] == "tenant=acme,tier=gold"
    assert found["sends"]["tracestate"] == "a=1"
    assert found["sends"]["traceparent"].split("-")[1] == TRACE


@pytest.mark.parametrize("name", ALIKE)
def test_baggage_needs_no_trace(servers: dict[str, ServerProcess], name: str) -> None:
    assert ask(servers[name], "sync", {"baggage": "tenant=acme"})["baggage"] == {"tenant": "acme"}
    assert ask(servers[name], "sync", {})["baggage"] == {}


@pytest.mark.parametrize("name", ["ours", "BentoML's path", "untraced"])
def test_batch_has_no_baggage_of_its_requests(servers: dict[str, ServerProcess], name: str) -> None:
    """Stock runs every batch in the context of the first request that the worker ever batched."""

    def one(number: int) -> Any:
        return ask(servers[name], "batched", {"baggage": f"tenant=t{number}"}, {"xs": [number]})

    with ThreadPoolExecutor(8) as pool:
        assert all(answer[0]["baggage"] == {} for answer in pool.map(one, range(24)))


def test_propagator_of_the_service_is_used(servers: dict[str, ServerProcess]) -> None:
    found = ask(servers["own propagator"], "on_loop", {"x-trace": f"{TRACE}-{SPAN}", "traceparent": PARENT[:-2] + "00"})
    assert found["baggage"] == {"format": "plain"}
    assert found["sends"]["x-trace"].split("-")[0] == TRACE
    assert found["sends"]["x-trace"].split("-")[1] != SPAN  # the server span's
    alone = ask(servers["own propagator"], "sync", {"traceparent": PARENT})
    assert alone["sends"]["x-trace"].split("-")[0] != TRACE


def test_without_propagators_every_request_is_a_new_trace(servers: dict[str, ServerProcess]) -> None:
    assert ask(servers["none"], "sync", {"traceparent": PARENT, "baggage": "a=1"}) == {"baggage": {}, "sends": {}}


W3C = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
HEX = st.text("0123456789abcdefABCDEF", max_size=34)
ALMOST = st.builds(
    lambda before, parts, after: before + "-".join(parts) + after,
    st.sampled_from(["", " ", "\t", " \t", "x"]),
    st.tuples(
        st.sampled_from(["00", "01", "cc", "ff", "0", "000"]),
        st.sampled_from([TRACE, "0" * 32, TRACE.upper(), TRACE[:-1]]) | HEX,
        st.sampled_from([SPAN, "0" * 16, SPAN[:-1]]) | HEX,
        st.sampled_from(["00", "01", "02", "03", "ff", "0", "0x"]),
    ),
    st.sampled_from(["", " ", "\t ", "-", "-more", "-more ", "\n"]),
)


@settings(max_examples=600, deadline=None)
@given(header=ALMOST, reader=st.sampled_from([CallerReader(), CallerReader(W3C)]))
def test_traceparent_is_read_like_the_sdk(header: str, reader: CallerReader) -> None:
    expected = trace.get_current_span(W3C.extract({"traceparent": header}, Context())).get_span_context()
    found = reader.read([(b"traceparent", header.encode())]).parent
    if header.endswith("\n"):
        assert found is None  # no header contains a newline; Python's `$` matches before it
    elif expected.is_valid:
        assert found is not None
        assert (found.trace_id, found.span_id, found.flags) == (
            expected.trace_id,
            expected.span_id,
            int(expected.trace_flags),
        )
    else:
        assert found is None


@settings(max_examples=600, deadline=None)
@given(
    header=st.text(st.characters(codec="latin-1"), max_size=80)
    | st.from_regex(r"([a-z0-9]{1,5}=[\w%]{1,5},?){1,4}", alphabet=st.characters(codec="ascii"))
    | st.from_regex(r"[!-~]{1,4}=[!-~]{1,9}(,[!-~]{1,4}=[!-~]{0,9}){0,3}", fullmatch=True)
    | st.integers(1, 300).map(lambda count: ",".join(f"k{number}={number}" for number in range(count)))
)
def test_baggage_is_read_like_the_sdk(header: str) -> None:
    expected = baggage.get_all(W3CBaggagePropagator().extract({"baggage": header}, Context()))
    context = CallerReader().read([(b"baggage", header.encode("latin-1"))]).context
    assert (baggage.get_all(context) if context is not None else {}) == expected


@pytest.mark.parametrize(
    ("headers", "is_nobody"),
    [
        ([], True),
        ([(b"tracestate", b"a=1")], True),
        ([(b"accept", b"*/*"), (b"content-type", b"x")], True),
        ([(b"traceparent", b"garbage")], False),
        ([(b"baggage", b"a=1")], False),
    ],
)
def test_headers_without_a_caller_cost_nothing(headers: list[Any], is_nobody: bool) -> None:
    assert (CallerReader().read(headers) is NO_CALLER) == is_nobody


@pytest.mark.parametrize("propagator", [None, W3C, CompositePropagator([TraceContextTextMapPropagator()])])
def test_entries_of_other_vendors_can_be_dropped(propagator: Any) -> None:
    headers = [(b"traceparent", PARENT.encode()), (b"tracestate", b"a=1"), (b"baggage", b"x=1")]
    assert CallerReader(propagator).read(headers).trace_state == "a=1"
    without = CallerReader(propagator, keeps_trace_state=False).read(headers)
    assert (without.trace_state, without.parent is not None) == (None, True)


def test_only_headers_of_the_propagators_are_read() -> None:
    headers = [(b"traceparent", PARENT.encode()), (b"baggage", b"x=1")]
    trace_alone = CallerReader(CompositePropagator([TraceContextTextMapPropagator()])).read(headers)
    baggage_alone = CallerReader(W3CBaggagePropagator()).read(headers)
    assert (trace_alone.parent is not None, trace_alone.context) == (True, None)
    assert (baggage_alone.parent, baggage.get_all(baggage_alone.context)) == (None, {"x": "1"})
