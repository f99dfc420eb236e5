"""uvicorn's middleware for the headers of proxies, with our look before it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from bento_monitor.bentoml_hooks.uvicorn_server import _looking_first

CLIENT = ("127.0.0.1", 5)


def client_seen(headers: list[tuple[bytes, bytes]], trusted: str) -> tuple[str, int]:
    """The client that the application sees."""
    seen: list[Any] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["client"])

    middleware = _looking_first(ProxyHeadersMiddleware)(application, trusted_hosts=trusted)
    asyncio.run(middleware({"type": "http", "client": CLIENT, "scheme": "http", "headers": headers}, None, None))
    (client,) = seen
    return client


@pytest.mark.parametrize(
    ("headers", "trusted", "host"),
    [
        ([(b"host", b"h")], "127.0.0.1", "127.0.0.1"),
        ([(b"host", b"h"), (b"x-forwarded-for", b"10.1.2.3")], "127.0.0.1", "10.1.2.3"),
        ([(b"x-forwarded-for", b"10.1.2.3")], "192.168.0.1", "127.0.0.1"),
    ],
    ids=["no proxy", "a trusted proxy", "one that is not trusted"],
)
def test_the_client_is_whom_a_trusted_proxy_names(headers: list[tuple[bytes, bytes]], trusted: str, host: str) -> None:
    assert client_seen(headers, trusted)[0] == host


def test_a_request_without_a_proxy_passes_uvicorns_middleware_by() -> None:
    def application(*_: Any) -> str:
        return "the application's own coroutine"

    middleware = _looking_first(ProxyHeadersMiddleware)(application)
    assert middleware({"type": "http", "headers": [(b"host", b"h")]}, None, None) == application()
    assert middleware({"type": "lifespan"}, None, None) == application()
