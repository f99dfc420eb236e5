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
}
ROOTS: dict[str, st.SearchStrategy[Any]] = {
    "/root_model": orders,
    "/root_text": text,
    "/root_list": st.lists(integers, max_size=4),
}
PATHS = (*FIELDS, *ROOTS)


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
        "",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    """One request; two in three are right, or nearly."""
    path = draw(st.sampled_from(PATHS))
    body = draw(right_bodies(path) if draw(st.integers(0, 2)) else wrong_bodies)
    headers = [] if not draw(st.integers(0, 9)) else [("Content-Type", "application/json")]
    if not draw(st.integers(0, 7)):
        headers = [("Content-Type", draw(content_types))]
    if not draw(st.integers(0, 5)):
        headers.append(("X-Given", "something"))
    method = "POST" if draw(st.integers(0, 19)) else draw(st.sampled_from(["GET", "PUT", "HEAD", "OPTIONS"]))
    suffix = "" if draw(st.integers(0, 19)) else draw(st.sampled_from(["/", "?q=1&q=2", "?", "x", "//"]))
    return Asked(method, path + suffix, tuple(headers), body)
