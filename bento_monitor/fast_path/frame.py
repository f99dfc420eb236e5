"""The interface to BentoML that the fast path needs; `integrations.bentoml.request_frame` implements it."""

from __future__ import annotations

from typing import Any, Protocol

from .plan import Plan


class OpenedRequest(Protocol):
    """A request that is being served."""

    request: Any
    response: Any

    @property
    def has_background(self) -> bool:
        """Whether background tasks run after the answer."""
        ...

    async def body(self) -> bytes:
        """Return the whole body; raise an error if the client left before its end."""
        ...

    def close(self) -> None:
        """Release the resources of the request."""
        ...


class Frame(Protocol):
    """Opens and answers requests as BentoML's application does."""

    def open(self, scope: Any, receive: Any, send: Any) -> OpenedRequest:
        """Begin to serve a request."""
        ...

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that each answer of an API has."""
        ...

    def log_exception(self, request: Any) -> None:
        """Log the exception that is being handled."""
        ...

    async def respond(self, plan: Plan, output: Any, opened: Any) -> Any:
        """Return the response for the output of a function, with the values set on `ctx.response`."""
        ...

    async def send(self, response: Any, opened: Any, send: Any) -> None:
        """Send a response with those headers, then run its background tasks and those of `ctx.response`."""
        ...
