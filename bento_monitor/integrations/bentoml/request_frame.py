"""What BentoML adds around every API request: context variables, headers, cookies and background tasks."""

from __future__ import annotations

import sys
from typing import Any

from bentoml._internal.context import (
    ServiceContext,
    _request_var,
    _response_var,
    request_tempdir_pool,
    trace_context,
)
from bentoml._internal.server.http_app import log_exception
from bentoml._internal.utils.http import set_cookies
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ...asgi import LEDGER
from ...fast_path.plan import Answer, Plan
from .overload import Overloaded, refusals


class _MetadataRequest(Request):
    """Starlette's request, whose headers are also available as `metadata`, as in BentoML."""

    @property
    def metadata(self) -> Any:
        """The request's headers."""
        return self.headers


class _UntouchedResponse(ServiceContext.ResponseContext):
    """`ctx.response`, whose parts are made when the user's code first uses one: most code never does."""

    __slots__ = ("is_touched",)

    def __init__(self) -> None:
        self.is_touched = False

    def __getattr__(self, name: str) -> Any:
        if self.is_touched:  # the part was deleted
            raise AttributeError(name)
        self.is_touched = True
        ServiceContext.ResponseContext.__init__(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "is_touched" and not self.is_touched:
            self.is_touched = True
            ServiceContext.ResponseContext.__init__(self)
        super().__setattr__(name, value)


class OpenRequest:
    """A request that is being served, with the objects behind the user's `ctx.request` and `ctx.response`."""

    __slots__ = ("_receive", "_tokens", "request", "response")

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self._receive = receive
        self.request = _MetadataRequest(scope, receive, send)
        self.response = _UntouchedResponse()
        self._tokens = (_request_var.set(self.request), _response_var.set(self.response))

    @property
    def has_background(self) -> bool:
        """Whether background tasks must run after the answer."""
        return self.response.is_touched and bool(self.response.background.tasks)

    async def body(self) -> bytes:
        """Read the whole body, and keep it in the request for the user's code.

        Raises:
            ClientDisconnect: the client disconnected before the whole body arrived.
        """
        chunks = []
        has_more = True
        while has_more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunks.append(message.get("body", b""))
            has_more = message.get("more_body", False)
        body: bytes = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self.request._body = body
        self.request._stream_consumed = True
        return body

    def close(self) -> None:
        """Release the request's temporary folder and reset its context variables."""
        state = self.request.scope.get("state") or {}
        if "temp_dir" in state:
            request_tempdir_pool.release(state["temp_dir"])
        _request_var.reset(self._tokens[0])
        _response_var.reset(self._tokens[1])


class RequestFrame:
    """Opens and answers requests as BentoML's application does."""

    def __init__(self, service_name: str) -> None:
        from bentoml._internal.configuration.containers import BentoMLContainer

        formats = BentoMLContainer.logging_formatting.get()
        self._span_format, self._trace_format = formats["span_id"], formats["trace_id"]
        self._has_trace_header = bool(BentoMLContainer.http.response.trace_id.get())
        self._server = (b"server", f"BentoML Service/{service_name}".encode("latin-1"))

    def open(self, scope: Any, receive: Any, send: Any) -> OpenRequest:
        """Begin to serve a request."""
        ledger = scope.get(LEDGER)
        scope["request_id"] = trace_context.request_id
        scope["trace_id"] = trace_context.trace_id if ledger is None else ledger.trace_id
        return OpenRequest(scope, receive, send)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that BentoML adds to every answer of an API."""
        headers = [self._server]
        request_id = trace_context.request_id
        if request_id is not None:
            headers.append((b"x-bentoml-request-id", format(request_id, self._span_format).encode()))
        if self._has_trace_header:
            headers.append((b"x-bentoml-trace-id", format(trace_context.trace_id, self._trace_format).encode()))
        return headers

    def log_exception(self, request: Any) -> None:
        """Log the exception being handled, as BentoML does."""
        if isinstance(sys.exception(), Overloaded):
            refusals.note(request.url.path)
        else:
            log_exception(request)

    async def respond(self, plan: Plan, output: Any, opened: OpenRequest) -> Response:
        """Return the response for a function's output, with what the function set on `ctx.response`."""
        response = output if isinstance(output, Response) else await _response_to(plan, output)
        if plan.context_parameter is not None:
            context = opened.response
            response.status_code = context.status_code
            response.headers.update(context.metadata)
            set_cookies(response, context.cookies)
        return response

    async def send(self, response: Response, opened: OpenRequest, send: Any) -> None:
        """Send a response with BentoML's headers, then run its background tasks and those of `ctx.response`."""
        for name, value in self.headers():
            response.headers[name.decode()] = value.decode("latin-1")
        background = opened.response.background
        if response.background is not None:
            background.tasks.append(response.background)
        background.add_task(opened.request.close)
        response.background = background
        del opened.response.background  # a circular reference, as in BentoML
        await response(opened.request.scope, opened.request.receive, send)


async def _response_to(plan: Plan, output: Any) -> Response:
    answer = plan.render(output)
    return await plan.render_otherwise(output) if answer is None else response_of(answer)


def response_of(answer: Answer) -> Response:
    """Return an answer as a Starlette response, to which headers can be added."""
    response = Response(answer.body)
    response.raw_headers = [answer.content_length, answer.content_type]
    return response
