"""Requests to the service `kinds`, right and wrong, for Hypothesis to generate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

text = st.text(max_size=12)
integers = st.integers(-(2**70), 2**70) | st.integers(-3, 120)
floats = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-10, 10)
scalars = st.none() | st.booleans() | integers | floats | text
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=10
)
items = st.fixed_dictionaries({"name": text}, optional={"price": floats, "tags": st.lists(text, max_size=3)})
orders = st.fixed_dictionaries({"item": items}, optional={"count": st.integers(-1, 5), "note": st.none() | text})
rows = st.lists(st.lists(floats, min_size=2, max_size=2), max_size=14)
records = st.lists(st.fixed_dictionaries({"a": st.integers(-5, 5), "b": text}), max_size=4)
kinds = st.sampled_from(["runtime", "value", "bentoml", "invalid", "missing", "refused", "conflict", "key", "other"])

FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "/scalars": {"a": integers, "b": floats, "c": text, "d": st.booleans()},
    "/optional": {"x": st.none() | integers},
    "/number": {"x": floats | integers},
    "/nested": {"order": orders},
    "/validated": {"x": st.integers(-5, 110), "names": st.dictionaries(text, integers, max_size=3)},
    "/anything": {"x": anything},
    "/options": {"x": integers, "kwargs": st.dictionaries(text, scalars, max_size=3), "other": scalars},
    "/array": {"a": rows},
    "/frame": {"df": records},
    "/raw_bytes": {"x": st.integers(0, 40)},
    "/nothing": {},
    "/not_a_number": {},
    "/wrong_output": {"x": integers},
    "/context": {"x": st.integers(-3, 9)},
    "/context_in_thread": {"x": st.integers(-3, 9)},
    "/response": {"x": st.integers(-3, 9)},
    "/raises": {"kind": kinds},
    "/raises_in_thread": {"kind": kinds},
    "/batched": {"xs": st.lists(integers, max_size=4)},
    "/batched_array": {"a": st.lists(st.lists(floats, min_size=2, max_size=2), min_size=1, max_size=3)},
    "/elsewhere/deep": {"x": integers},
    "/stream": {"x": st.integers(0, 4)},
    "/carried": {"x": integers},
    "/carried_in_thread": {"x": integers},
}
ROOTS: dict[str, st.SearchStrategy[Any]] = {
    "/root_model": orders,
    "/root_text": text,
    "/root_list": st.lists(integers, max_size=4),
}
PATHS = (*FIELDS, *ROOTS)
# Some in ten take no route, or not with that method.
MOUNTED = (
    "/mounted/items/1",
    "/mounted/items/-7",
    "/mounted/items/x",
    "/mounted/deep/a%20b/end",
    "/mounted/deep/a/b",
    "/mounted/fails/refused",
    "/mounted/fails/runtime",
    "/mounted",
    "/mounted/",
    "/wsgi/any/%C3%A9",
    "/wsgi",
    "/nowhere/1",
)


@dataclass(frozen=True)
class Asked:
    """One request: how it is sent is all that a server may answer by."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@st.composite
def right_bodies(draw: st.DrawFn, path: str) -> bytes:
    """A body of the API's own fields: some left out, one of a wrong type or one too many now and then."""
    if path in ROOTS:
        value = draw(ROOTS[path])
        return value.encode() if path == "/root_text" else json.dumps(value).encode()
    fields = FIELDS[path]
    body = {name: draw(strategy) for name, strategy in fields.items() if draw(st.integers(0, 5))}
    if not draw(st.integers(0, 7)) and fields:
        body[draw(st.sampled_from(sorted(fields)))] = draw(anything)
    if not draw(st.integers(0, 9)):
        body[draw(text)] = draw(scalars)
    return json.dumps(body).encode()


wrong_bodies = st.one_of(
    st.binary(max_size=30),
    anything.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b'"x"',
            b"NaN",
            b'{"x": NaN}',
            b'{"x": 1, "x": 2}',
            b"\xff\xfe",
            b'{"x": 1}'.decode().encode("utf-16"),
            b'{"x": ' + b"[" * 300 + b"]" * 300 + b"}",
            b'{"a": ' + b'{"a": ' * 250 + b"1" + b"}" * 251,
        ]
    ),
)
content_types = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json ;x=y",
        "Application/JSON",
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/vnd.bentoml+pickle",
        "application/problem+json",
        "application/x-ndjson",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "json",
        "application/json, application/json",
        "*/*",
        ";",
        "",
    ]
)
# Ids that begin with zeros are told from those that a server makes.
parents = st.sampled_from(
    [
        f"00-{'0' * 16}{'a' * 16}-{'1' * 16}-01",
        f"00-{'0' * 16}{'b' * 16}-{'1' * 16}-00",
        f"cc-{'0' * 16}{'c' * 16}-{'1' * 16}-01-more",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"ff-{'0' * 16}{'d' * 16}-{'1' * 16}-01",
        f"00-{'0' * 16}{'E' * 16}-{'1' * 16}-01",
        "00-1-1-01",
        "",
    ]
)
baggages = st.sampled_from(
    [
        "tenant=acme",
        "tenant=acme,tier=gold;hidden=1",
        "a=%20b%2C",
        "a",
        "=",
        "a=1,a=2",
        "k=v,,x=" + "y" * 300,
        "é=1",
        "",
    ]
)
others = st.sampled_from(
    [
        ("X-Given", "something"),
        ("X-Given", "\xe9\xff"),
        ("x-given", " "),
        ("Cookie", "a=1; b=2"),
        ("Authorization", "Basic c2VjcmV0"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("Accept", "application/x-ndjson"),
        ("Accept-Encoding", "gzip"),
        ("tracestate", "vendor=1,other=2"),
        ("b3", "0"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", "*"),
    ]
)


@st.composite
def further_headers(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Those that no answer should depend on by our doing: of the caller's context, and of its own."""
    found = [draw(others) for _ in range(draw(st.integers(0, 2)))]
    if not draw(st.integers(0, 2)):
        found.append(("traceparent", draw(parents)))
    if not draw(st.integers(0, 2)):
        found.append(("baggage", draw(baggages)))
    return draw(st.permutations(found))


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    """One request; two in three are right, or nearly, and one in eight is to what is mounted."""
    if not draw(st.integers(0, 7)):
        return draw(requests_of_mounts())
    path = draw(st.sampled_from(PATHS))
    body = draw(right_bodies(path) if draw(st.integers(0, 2)) else wrong_bodies)
    headers = [] if not draw(st.integers(0, 9)) else [("Content-Type", "application/json")]
    if not draw(st.integers(0, 7)):
        headers = [("Content-Type", draw(content_types))]
        if not draw(st.integers(0, 5)):
            headers.append(("content-type", draw(content_types)))
    headers += draw(further_headers())
    method = "POST" if draw(st.integers(0, 19)) else draw(st.sampled_from(["GET", "PUT", "HEAD", "OPTIONS"]))
    suffix = "" if draw(st.integers(0, 19)) else draw(st.sampled_from(["/", "?q=1&q=2", "?", "x", "//"]))
    return Asked(method, path + suffix, tuple(headers), body)


@st.composite
def requests_of_mounts(draw: st.DrawFn) -> Asked:
    """A request to an application that is mounted, or to nothing."""
    path = draw(st.sampled_from(MOUNTED)) + draw(st.sampled_from(["", "", "?q=1&q=%2F", "/"]))
    method = draw(st.sampled_from(["GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]))
    headers = [("Content-Type", draw(content_types))] if draw(st.integers(0, 2)) else []
    body = draw(st.binary(max_size=20)) if method in ("POST", "PUT") else b""
    return Asked(method, path, (*headers, *draw(further_headers())), body)
