"""Our traffic middleware instead of BentoML's middlewares for metrics, access log, time limit and concurrency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bentoml._internal.server.http.access import AccessLogMiddleware
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from bentoml._internal.server.http.traffic import MaxConcurrencyMiddleware, TimeoutMiddleware
from starlette.middleware import Middleware

from ...request.access_log import AccessLogRules
from ...request.exchange_records import ExchangeRecords
from ...request.limits import BodyLimits
from ...request.traffic import Traffic, TrafficLimits, TrafficMiddleware
from .log_lines import PlainAccessLog
from .series import BentoSeries, WebSocketsOnly

_REPLACED = (RunnerTrafficMetricsMiddleware, AccessLogMiddleware, TimeoutMiddleware, MaxConcurrencyMiddleware)


class ReplacedMiddlewares:
    """Replaces four of BentoML's middlewares by ours, with the same options; `middlewares` is the resulting list."""

    def __init__(self, middlewares: list[Any], endpoint_of: Callable[[str], str], body: BodyLimits | None) -> None:
        options = {middleware.cls: middleware.kwargs for middleware in middlewares if middleware.cls in _REPLACED}
        metrics, access = options.get(RunnerTrafficMetricsMiddleware), options.get(AccessLogMiddleware)
        make_counter: Any = RunnerTrafficMetricsMiddleware
        counter = None if metrics is None else make_counter(app=None, **metrics)
        self.records = ExchangeRecords(
            None if counter is None else BentoSeries(counter),
            None if access is None else PlainAccessLog(_rules(access)),
        )
        self.traffic = Traffic(_limits(options, body), self.records, endpoint_of)
        self.middlewares: list[Any] = [_for_web_sockets(middleware, counter) for middleware in middlewares]
        last = max((i for i, middleware in enumerate(middlewares) if middleware.cls in _REPLACED), default=-1)
        self.middlewares.insert(last + 1, Middleware(TrafficMiddleware, traffic=self.traffic))


def _for_web_sockets(middleware: Any, counter: Any) -> Any:
    if middleware.cls not in _REPLACED:
        return middleware
    own = counter if middleware.cls is RunnerTrafficMetricsMiddleware else middleware.cls(app=None, **middleware.kwargs)
    return Middleware(WebSocketsOnly, middleware=own)


def _limits(options: dict[Any, Any], body: BodyLimits | None) -> TrafficLimits:
    timeout, concurrency = options.get(TimeoutMiddleware), options.get(MaxConcurrencyMiddleware)
    unlimited: frozenset[str] = frozenset()
    if concurrency is not None:
        unlimited = MaxConcurrencyMiddleware.BYPASS_PATHS | frozenset(concurrency.get("skip_paths") or ())
    return TrafficLimits(
        timeout_s=None if timeout is None else timeout["timeout"],
        max_concurrency=None if concurrency is None else concurrency["max_concurrency"],
        unlimited_paths=unlimited,
        body=body,
    )


def _rules(options: dict[str, Any]) -> AccessLogRules:
    return AccessLogRules(
        request_content_length=options["has_request_content_length"],
        request_content_type=options["has_request_content_type"],
        response_content_length=options["has_response_content_length"],
        response_content_type=options["has_response_content_type"],
        skip_paths=tuple(options["skip_paths"]),
    )
