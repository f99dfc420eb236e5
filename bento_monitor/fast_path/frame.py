"""What the fast path needs of BentoML around a request; `integrations.bentoml.request_frame` has it."""

from __future__ import annotations

from typing import Any, Protocol

from .plan import Plan


class OpenedRequest(Protocol):
    """A request that is being served."""

    request: Any
    response: Any

    @property
    def has_background(self) -> bool:
        """Whether something is to be done after the answer."""
        ...

    async def body(self) -> bytes:
        """The whole body; raises where the client has gone before it was whole."""
        ...

    def close(self) -> None:
        """Give back what the request took."""
        ...


class Frame(Protocol):
    """Opens and answers requests as BentoML's application does."""

    def open(self, scope: Any, receive: Any, send: Any) -> OpenedRequest:
        """Begin to serve a request."""
        ...

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that every answer of an API has."""
        ...

    def log_exception(self, request: Any) -> None:
        """Log the exception that is being handled."""
        ...

    async def respond(self, plan: Plan, output: Any, opened: Any) -> Any:
        """The response to what a function returned, with what it has set on `ctx.response`."""
        ...

    async def send(self, response: Any, opened: Any, send: Any) -> None:
        """Send a response with those headers, then run its background tasks and those of `ctx.response`."""
        ...
