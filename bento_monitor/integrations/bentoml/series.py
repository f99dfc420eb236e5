"""BentoML's own Prometheus series, filled from finished exchanges; names, labels and buckets are BentoML's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bentoml._internal.context import server_context
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware

from ...metrics.exposition import observe_many
from ...request.exchange import METRICS_PATH, Exchange


class BentoSeries:
    """Counts what BentoML's metrics middleware would count, with the route template as endpoint, never the raw path."""

    def __init__(self, middleware: RunnerTrafficMetricsMiddleware) -> None:
        """`middleware` is BentoML's own: it creates the series, and continues to count WebSockets."""
        self._middleware = middleware
        self._children: dict[tuple[str, ...], Any] = {}

    def start(self) -> None:
        """Create the series before the first request: two threads that find them missing would create them twice."""
        if not self._middleware._is_setup:
            self._middleware._setup()

    def write(self, exchanges: Sequence[Exchange]) -> None:
        """Count exchanges."""
        latest_s = 0.0
        skipped = tuple(self._middleware.skip_paths)
        durations: dict[tuple[str, int], list[float]] = defaultdict(list)
        for exchange in exchanges:
            if exchange.endpoint == METRICS_PATH:
                continue
            duration_s = max(exchange.ended_s - exchange.begun_s, 0.0)
            durations[exchange.endpoint, exchange.status].append(duration_s)
            if not exchange.endpoint.startswith(skipped):
                latest_s = max(latest_s, exchange.ended_wall_s - duration_s)
        for (endpoint, status), values in durations.items():
            self._child("request_total", endpoint, status).inc(len(values))
            observe_many(self._child("request_duration", endpoint, status), values)
        if latest_s:
            self._middleware.metrics_last_request_timestamp.labels(**_common_labels()).set(latest_s)

    def show_in_progress(self, counts: Mapping[str, int]) -> None:
        """Show how many exchanges of each endpoint are in progress."""
        for endpoint, count in counts.items():
            if endpoint != METRICS_PATH:
                self._child("request_in_progress", endpoint).set(count)

    def _child(self, name: str, endpoint: str, status: int | None = None) -> Any:
        key = (name, endpoint, str(status))
        child = self._children.get(key)
        if child is None:
            labels = {"endpoint": endpoint, **_common_labels()}
            if status is not None:
                labels["http_response_code"] = status
            child = getattr(self._middleware, f"metrics_{name}").labels(**labels)
            self._children[key] = child
        return child


def _common_labels() -> dict[str, Any]:
    return {
        "service_name": server_context.bento_name,
        "service_version": server_context.bento_version,
        "runner_name": server_context.service_name,
    }


class WebSocketsOnly:
    """Passes only WebSockets to one of BentoML's middlewares, since our entry does its work for HTTP."""

    def __init__(self, app: Any, middleware: Any) -> None:
        """`middleware` is an instance; the application inside it is set here."""
        self._app = app
        self._middleware = middleware
        middleware.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI scope."""
        await (self._middleware if scope["type"] == "websocket" else self._app)(scope, receive, send)
