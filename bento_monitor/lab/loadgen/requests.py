"""Requests as bytes, built once per body."""

from __future__ import annotations

from .load_spec import LoadSpec


class RequestBytes:
    """The bytes of each request; only a `traceparent` header is inserted while the load runs."""

    def __init__(self, spec: LoadSpec, bodies: tuple[bytes, ...]) -> None:
        lines = [f"POST {spec.path} HTTP/1.1", f"Host: {spec.host}:{spec.port}"]
        if not any(name.lower() == "content-type" for name, _ in spec.headers):
            lines.append("Content-Type: application/json")
        lines += [f"{name}: {value}" for name, value in spec.headers]
        start = "\r\n".join(lines).encode("latin-1")
        self._heads = [b"%b\r\nContent-Length: %d" % (start, len(body)) for body in bodies]
        self._bodies = bodies
        self._whole = [b"%b\r\n\r\n%b" % pair for pair in zip(self._heads, bodies, strict=True)]
        self._traceparents = [value.encode("latin-1") for value in spec.traceparents]

    def of(self, request: int, body: int) -> bytes:
        """Return the bytes of request number `request`, which sends body number `body`."""
        if not self._traceparents:
            return self._whole[body]
        traceparent = self._traceparents[request % len(self._traceparents)]
        return b"%b\r\ntraceparent: %b\r\n\r\n%b" % (self._heads[body], traceparent, self._bodies[body])
