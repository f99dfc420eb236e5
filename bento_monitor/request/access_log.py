"""BentoML's access log, in its own format, written from finished exchanges."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import lru_cache

from opentelemetry.context import attach
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from ..resilience.printable import printable
from .exchange import Exchange

LOGGER_NAME = "bentoml.access"
LINE_FORMAT = "%s (%s) (%s) %.3fms"


@dataclass(frozen=True, slots=True, eq=False)  # the caches below compute its hash for each line
class AccessLogRules:
    """The access log options of BentoML's configuration."""

    request_content_length: bool
    request_content_type: bool
    response_content_length: bool
    response_content_type: bool
    skip_paths: tuple[str, ...]

    def are_for(self, exchange: Exchange) -> bool:
        """Whether the exchange gets a line."""
        return not exchange.path.startswith(self.skip_paths)


class AccessLog:
    """Writes one record per exchange to the logger `bentoml.access`, through the process's handlers and filters."""

    def __init__(self, rules: AccessLogRules) -> None:
        self._rules = rules
        self._logger = logging.getLogger(LOGGER_NAME)

    def note(self, exchange: Exchange) -> None:
        """Keep a copy of the current context, which is that of the request."""
        exchange.context = copy_context()

    def write(self, exchanges: Sequence[Exchange]) -> None:
        """Write the records."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        for exchange in exchanges:
            if self._rules.are_for(exchange):
                # In the request's own context, where filters find the request's ids.
                (exchange.context or Context()).run(self._handle, exchange)

    def _handle(self, exchange: Exchange) -> None:
        """Write the record with the request's server span as the current span; at the last byte another one may be."""
        if exchange.trace_id:
            flags = TraceFlags(TraceFlags.SAMPLED if exchange.is_sampled else TraceFlags.DEFAULT)
            span = SpanContext(exchange.trace_id, exchange.span_id, is_remote=False, trace_flags=flags)
            attach(set_span_in_context(NonRecordingSpan(span)))
        self._logger.handle(self._record(exchange))

    def _record(self, exchange: Exchange) -> logging.LogRecord:
        arguments = describe(exchange, self._rules)
        record = self._logger.makeRecord(
            self._logger.name, logging.INFO, "bentoml/access", 0, LINE_FORMAT, arguments, None, "wrapped_send"
        )
        late_s = time.time() - exchange.ended_wall_s
        record.created -= late_s
        record.msecs = int((record.created - int(record.created)) * 1000) + 0.0
        record.relativeCreated -= late_s * 1e3
        return record


def describe(exchange: Exchange, rules: AccessLogRules) -> tuple[str, str, str, float]:
    """Return the parts of a line: client address, request, response, and duration in milliseconds.

    Bytes from the client that are not text, or would break the line, are escaped.
    """
    client = exchange.client
    address = f"{client[0]}:{client[1]}" if client else "_"
    request = _request_text(
        exchange.scheme, exchange.method, exchange.path, exchange.request_type, exchange.request_length, rules
    )
    response = _response_text(exchange.status, exchange.response_type, exchange.response_length, rules)
    return address, request, response, max(exchange.ended_s - exchange.begun_s, 0.0) * 1e3


# Most requests of a service have the same text.
@lru_cache(maxsize=64)
def _request_text(
    scheme: str, method: str, path: str, content_type: bytes, length: bytes, rules: AccessLogRules
) -> str:
    text = f"scheme={scheme},method={printable(method)},path={printable(path)}"
    if rules.request_content_type:
        text += f",type={_text(content_type)}"
    return f"{text},length={_text(length)}" if rules.request_content_length else text


@lru_cache(maxsize=64)
def _response_text(status: int, content_type: bytes, length: bytes, rules: AccessLogRules) -> str:
    text = f"status={status}"
    if rules.response_content_type:
        text += f",type={_text(content_type)}"
    return f"{text},length={_text(length)}" if rules.response_content_length else text


def _text(header: bytes) -> str:
    return printable(header.decode(errors="backslashreplace"))
