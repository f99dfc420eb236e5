"""Cases of W3C Trace Context, written from the specification: which traces continue, and which start again.

Source: https://www.w3.org/TR/trace-context/ (sections 3.2 and 3.3) and https://www.w3.org/TR/trace-context-2/.
"""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from bento_monitor.tracing.context.caller import CallerReader
from bento_monitor.tracing.context.propagation import span_context_of, start_ledger

TRACE, PARENT = "12345678901234567890123456789012", "1234567890123456"
VALID = f"00-{TRACE}-{PARENT}-01"
TRACE_PARENTS = {
    "as it should be": (VALID, True),
    "not sampled": (f"00-{TRACE}-{PARENT}-00", True),
    "flags of the future": (f"00-{TRACE}-{PARENT}-ff", True),
    "spaces and tabs around it": (f" \t{VALID}\t ", True),
    "empty": ("", False),
    "version 00 with more": (f"{VALID}-what", False),
    "version 00 with a dot": (f"{VALID}.", False),
    "version 00 with a dash": (f"{VALID}-", False),
    "version cc": (f"cc-{TRACE}-{PARENT}-01", True),
    "version cc with more": (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", True),
    "version cc with more that is not apart": (f"cc-{TRACE}-{PARENT}-01.what-the-future-will-be-like", False),
    "version ff": (f"ff-{TRACE}-{PARENT}-01", False),
    "a version with a dot before": (f".0-{TRACE}-{PARENT}-01", False),
    "a version with a dot behind": (f"0.-{TRACE}-{PARENT}-01", False),
    "a version that is too long": (f"000-{TRACE}-{PARENT}-01", False),
    "a version that is too short": (f"0-{TRACE}-{PARENT}-01", False),
    "a version in capitals": (f"CC-{TRACE}-{PARENT}-01", False),
    "a trace id of zeros": (f"00-{'0' * 32}-{PARENT}-01", False),
    "a trace id with a dot before": (f"00-.{TRACE[1:]}-{PARENT}-01", False),
    "a trace id with a dot behind": (f"00-{TRACE[1:]}.-{PARENT}-01", False),
    "a trace id that is too long": (f"00-{TRACE}3-{PARENT}-01", False),
    "a trace id that is too short": (f"00-{TRACE[1:]}-{PARENT}-01", False),
    "a trace id in capitals": (f"00-{'A' * 32}-{PARENT}-01", False),
    "a parent id of zeros": (f"00-{TRACE}-{'0' * 16}-01", False),
    "a parent id with a dot before": (f"00-{TRACE}-.{PARENT[1:]}-01", False),
    "a parent id with a dot behind": (f"00-{TRACE}-{PARENT[1:]}.-01", False),
    "a parent id that is too long": (f"00-{TRACE}-{PARENT}7-01", False),
    "a parent id that is too short": (f"00-{TRACE}-{PARENT[1:]}-01", False),
    "flags with a dot before": (f"00-{TRACE}-{PARENT}-.0", False),
    "flags with a dot behind": (f"00-{TRACE}-{PARENT}-0.", False),
    "flags that are too long": (f"00-{TRACE}-{PARENT}-001", False),
    "flags that are too short": (f"00-{TRACE}-{PARENT}-1", False),
    "flags in capitals": (f"00-{TRACE}-{PARENT}-0A", False),
    "other delimiters": (VALID.replace("-", "_"), False),
}
KEY, TENANT = "z" * 256, f"{'t' * 241}@{'v' * 14}"
TRACE_STATES: dict[str, tuple[list[str], str | None]] = {
    "one": (["foo=1"], "foo=1"),
    "several": (["foo=1,bar=2"], "foo=1,bar=2"),
    "several headers": (["foo=1", "bar=2", "baz=3"], "foo=1,bar=2,baz=3"),
    "spaces and tabs around": (["foo=1 \t , \t bar=2 \t "], "foo=1,bar=2"),
    "a space within a value": (["foo=a b"], "foo=a b"),
    "an empty header": ([""], None),
    "an empty header among others": (["foo=1", "", "bar=2"], "foo=1,bar=2"),
    "empty members": (["foo=1,,bar=2,"], "foo=1,bar=2"),
    "a key twice": (["foo=1,foo=2"], None),
    "a key twice in two headers": (["foo=1", "foo=2"], None),
    "every letter of a key": (["abc-_*/0123456789=1"], "abc-_*/0123456789=1"),
    "every letter of a value": (
        ["a=" + "".join(map(chr, (*range(0x20, 0x2C), *range(0x2D, 0x3D), *range(0x3E, 0x7F))))],
        "a=" + "".join(map(chr, (*range(0x20, 0x2C), *range(0x2D, 0x3D), *range(0x3E, 0x7F)))),
    ),
    "the longest key": ([f"{KEY}=1"], f"{KEY}=1"),
    "a key that is longer": ([f"{KEY}z=1"], None),
    "the longest tenant": ([f"{TENANT}=1"], f"{TENANT}=1"),
    "a tenant that is longer": ([f"t{TENANT}=1"], None),
    "a system that is longer": ([f"{TENANT}v=1"], None),
    "a tenant that begins with a digit": (["1a-2f@foo=1"], "1a-2f@foo=1"),
    "no tenant": (["@foo=1"], None),
    "no system": (["foo@=1"], None),
    "two signs": (["foo@@bar=1"], None),
    "two systems": (["foo@bar@baz=1"], None),
    "a key that begins with a digit": (["1foo=1"], None),
    "a key in capitals": (["FOO=1"], None),
    "a key with a dot": (["foo.bar=1"], None),
    "a space before the sign": (["foo =1"], None),
    "no sign": (["foo"], None),
    "no value": (["foo="], None),
    "two signs of equality": (["foo=bar=baz"], None),
    "a value of 256 letters": ([f"foo={'v' * 256}"], f"foo={'v' * 256}"),
    "a value of 257 letters": ([f"foo={'v' * 257}"], None),
    "a value that is no ASCII": (["foo=\xe9"], None),
    "32 members": ([",".join(f"k{n}=1" for n in range(32))], ",".join(f"k{n}=1" for n in range(32))),
    "33 members": ([",".join(f"k{n}=1" for n in range(33))], ",".join(f"k{n}=1" for n in range(32))),
}
SAMPLER = ParentBased(ALWAYS_ON)


def carried(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the trace headers that an application below our span gets for these headers."""
    reader = CallerReader()
    ledger = start_ledger(headers, 1, SAMPLER, "POST", "/x", reader)
    return {
        name.decode(): value.decode()
        for name, value in reader.headers_below(headers, span_context_of(ledger))
        if name in (b"traceparent", b"tracestate")
    }


@pytest.mark.parametrize("case", TRACE_PARENTS)
@pytest.mark.parametrize("states", [[], [b"foo=1"]], ids=["alone", "with tracestate"])
def test_trace_continues_or_starts_again(case: str, states: list[bytes]) -> None:
    given, goes_on = TRACE_PARENTS[case]
    found = carried([(b"traceparent", given.encode()), *[(b"tracestate", state) for state in states]])
    version, trace_id, parent_id, flags = found["traceparent"].split("-")
    assert (version, trace_id == TRACE) == ("00", goes_on)
    assert parent_id not in (PARENT, "0" * 16)
    if goes_on:
        assert int(flags, 16) & 1 == int(given.strip().split("-")[3], 16) & 1
    assert found.get("tracestate") == ("foo=1" if goes_on and states else None)


@pytest.mark.parametrize("case", TRACE_STATES)
def test_state_of_other_vendors_continues_completely_or_not_at_all(case: str) -> None:
    given, expected = TRACE_STATES[case]
    found = carried([(b"traceparent", VALID.encode()), *[(b"tracestate", state.encode("latin-1")) for state in given]])
    assert found["traceparent"].split("-")[1] == TRACE
    assert found.get("tracestate") == expected


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"tracestate", b"foo=1")],
        [(b"traceparent", VALID.encode()), (b"traceparent", VALID.encode())],
        [(b"traceparent", VALID.encode()), (b"traceparent", VALID.replace("1234", "4321").encode())],
        [(b"trace-parent", VALID.encode())],
        [(b"trace.parent", VALID.encode())],
    ],
    ids=["nothing", "a state alone", "twice the same", "twice", "another name", "a third name"],
)
def test_without_exactly_one_traceparent_a_trace_starts_without_state(headers: list[tuple[bytes, bytes]]) -> None:
    found = carried([*headers, (b"tracestate", b"bar=2")])
    assert found["traceparent"].split("-")[1] != TRACE
    assert "tracestate" not in found
