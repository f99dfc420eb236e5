"""The application of a legacy service, with timestamps around parsing, computing and serializing."""

from __future__ import annotations

import copy
import functools
import inspect
import time
from collections.abc import Callable
from typing import Any

from bentoml._internal.server.http_app import HTTPAppFactory
from bentoml._internal.utils import is_async_callable
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.trace import NoOpTracerProvider

from ...tracing.ledger.ledger import current_ledger
from ..hooks import is_supported


class LegacyAppFactory(HTTPAppFactory):
    """Builds BentoML's application, without BentoML's tracing."""

    @property
    def middlewares(self) -> list[Any]:
        """BentoML's middlewares without its tracing, whose spans would orphan the user's spans."""
        return without_tracing(super().middlewares)

    def _create_api_endpoint(self, api: Any) -> Any:
        return super()._create_api_endpoint(_stamped(api))


def without_tracing(middlewares: list[Any]) -> list[Any]:
    """Leave out BentoML's tracing middleware, whose spans nobody receives; our entry sets the ids instead."""
    if not is_supported("request_id"):
        return middlewares
    return [middleware for middleware in middlewares if middleware.cls is not OpenTelemetryMiddleware]


def pass_context_on() -> None:
    """Make the clients of runners send the current context, without a span of BentoML's in between."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    BentoMLContainer.tracer_provider.get()  # creating it sets the service name in BentoML's log lines
    BentoMLContainer.tracer_provider.set(NoOpTracerProvider())


def _stamped(api: Any) -> Any:
    is_threaded = not is_async_callable(api.func)
    stamped = copy.copy(api)
    stamped.input = _StampedInput(api.input, is_threaded=is_threaded)
    stamped.output = _StampedOutput(api.output)
    if is_threaded:
        stamped.func = _stamped_in_thread(api.func)
    return stamped


class _Descriptor:
    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def __repr__(self) -> str:
        return repr(self._own)


class _StampedInput(_Descriptor):
    def __init__(self, own: Any, *, is_threaded: bool) -> None:
        super().__init__(own)
        self._is_threaded = is_threaded

    async def from_http_request(self, request: Any) -> Any:
        ledger = current_ledger.get()
        if ledger is None:
            return await self._own.from_http_request(request)
        # The parser itself reads the body.
        ledger.read_ns = time.monotonic_ns()
        parsed = await self._own.from_http_request(request)
        ledger.parsed_ns = time.monotonic_ns()
        if self._is_threaded:
            ledger.queued_ns = ledger.parsed_ns
        return parsed


class _StampedOutput(_Descriptor):
    async def to_http_response(self, obj: Any, ctx: Any = None) -> Any:
        ledger = current_ledger.get()
        # The items of a stream are not computed yet, so nothing is serialized here.
        if ledger is None or inspect.isasyncgen(obj) or inspect.isgenerator(obj):
            return await self._own.to_http_response(obj, ctx)
        ledger.serialize_started_ns = time.monotonic_ns()
        response = await self._own.to_http_response(obj, ctx)
        ledger.serialized_ns = time.monotonic_ns()
        return response


def _stamped_in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        ledger = current_ledger.get()
        if ledger is None:
            return function(*args, **kwargs)
        ledger.started_ns = time.monotonic_ns()
        try:
            return function(*args, **kwargs)
        finally:
            ledger.ended_ns = time.monotonic_ns()

    return call
