"""An OTLP receiver, an ASGI application, that stores the bodies it gets and parses them only on request.

`POST /NAME/v1/traces` stores a body under a name, `GET /NAME/stored` returns how many there are, and `GET /NAME/take`
parses and forgets them. Parsing happens after a block, when no server is measured.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from bento_monitor.testing.otlp_messages import spans_of_message

_bodies_by_name: defaultdict[str, list[bytes]] = defaultdict(list)


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] != "http":
        raise RuntimeError("This application has no lifespan.")
    answer = b""
    _, name, asked = scope["path"].split("/", 2)
    bodies = _bodies_by_name[name]
    if scope["method"] == "POST":
        bodies.append(await _body(receive))
    elif asked == "stored":
        answer = b"%d" % len(bodies)
    elif asked == "take":
        answer = json.dumps(_summary(bodies)).encode()
        bodies.clear()
    headers = [(b"content-type", b"application/x-protobuf"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def _body(receive: Callable[[], Awaitable[dict[str, Any]]]) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _summary(bodies: list[bytes]) -> dict[str, Any]:
    """Count the distinct spans by name, server spans as "server", with the median duration of the server spans."""
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    durations_ns: list[int] = []
    for body in bodies:
        for span in spans_of_message(body):
            if span.trace_id + span.span_id in seen:
                continue
            seen.add(span.trace_id + span.span_id)
            is_server = span.kind == "SERVER"
            counts["server" if is_server else span.name] += 1
            if is_server:
                durations_ns.append(span.end_ns - span.start_ns)
    p50_ms = median(durations_ns) / 1e6 if durations_ns else None
    return {"counts": dict(counts), "server_p50_ms": p50_ms, "bytes": sum(map(len, bodies))}
