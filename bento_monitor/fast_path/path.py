"""The fast path: serves a request whose API has a plan directly, from body to answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ..asgi import LEDGER, Application, Receive, Scope, Send
from ..tracing.ledger.ledger import Ledger
from .error_response import error_response
from .frame import Frame, OpenedRequest
from .plan import Answer, Plan

# BentoML parses these content types in their own way; every other one, known or not, is parsed as JSON.
_OTHER_TYPES = frozenset({"multipart/form-data", "application/x-www-form-urlencoded", "application/vnd.bentoml+pickle"})


class FastPath:
    """An ASGI application for the requests that `plan_for` has a plan for."""

    def __init__(self, plans: Mapping[str, Plan], frame: Frame) -> None:
        """`plans` by path; `frame` does BentoML's work around each request."""
        self._plans = plans
        self._frame = frame

    def plan_for(self, scope: Scope) -> Plan | None:
        """Return the plan for a request, by its method, path and content type; None if there is none."""
        plan = self._plans.get(scope["path"])
        if plan is None or scope["method"] != "POST" or scope.get("root_path"):
            return None
        for name, value in scope["headers"]:
            if name == b"content-type":
                if value == b"application/json":
                    return plan
                return None if value.decode("latin-1").split(";")[0].strip() in _OTHER_TYPES else plan
        return plan

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request that has a plan. An error that cannot be answered is raised."""
        plan = self._plans[scope["path"]]
        scope.update(plan.scope)
        frame = self._frame
        ledger: Ledger | None = scope.get(LEDGER)
        opened = frame.open(scope, receive, send)
        answer: Any
        try:
            try:
                answer = await self._answer(plan, opened, ledger)
                if ledger is not None:
                    ledger.serialized_ns = time.monotonic_ns()
            except Exception as error:
                answer = error_response(error, opened.request, frame.log_exception)
            if isinstance(answer, Answer):
                headers = [answer.content_length, answer.content_type, *frame.headers()]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": answer.body})
                if opened.has_background:
                    await opened.response.background()
            else:
                await frame.send(answer, opened, send)
        finally:
            opened.close()

    async def _answer(self, plan: Plan, opened: OpenedRequest, ledger: Ledger | None) -> Any:
        body = await opened.body()
        if ledger is not None:
            ledger.read_ns = time.monotonic_ns()
        args, kwargs = plan.parse(body)
        if ledger is not None:
            ledger.parsed_ns = time.monotonic_ns()
        output = await plan.call(args, kwargs)
        if ledger is not None:
            ledger.serialize_started_ns = time.monotonic_ns()
        if plan.context_parameter is None:
            answer = plan.render(output)
            if answer is not None:
                return answer
        return await self._frame.respond(plan, output, opened)


class FastPathMiddleware:
    """A middleware inside the user's own middlewares that sends requests to the fast path."""

    def __init__(self, app: Application, find: Callable[[], FastPath | None]) -> None:
        """`find` returns the fast path once the service is up."""
        self._app = app
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        fast_path = self._find() if scope["type"] == "http" else None
        if fast_path is None or fast_path.plan_for(scope) is None:
            await self._app(scope, receive, send)
        else:
            await fast_path.serve(scope, receive, send)
