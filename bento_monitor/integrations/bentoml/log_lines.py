"""BentoML's access log format, written without a log record per line unless the log configuration was changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.context import _ServiceTraceContext
from bentoml._internal.log import DATE_FORMAT, TRACED_LOG_FORMAT, TraceRecordFilter, _component_name

from ...request.access_log import LINE_FORMAT, LOGGER_NAME, AccessLog, AccessLogRules, describe
from ...request.exchange import Exchange


class PlainAccessLog:
    """Writes lines byte for byte as BentoML's handler would, or through log records if the handler was changed."""

    def __init__(self, rules: AccessLogRules) -> None:
        self._rules = rules
        self._records = AccessLog(rules)
        self._logger = logging.getLogger(LOGGER_NAME)
        formats = BentoMLContainer.logging_formatting.get()
        self._trace_format, self._span_format = formats["trace_id"], formats["span_id"]
        self._is_plain = False
        self._second = 0
        self._asctime = ""

    def note(self, exchange: Exchange) -> None:
        """Keep the service name of the current context, and the whole context if log filters may need it."""
        exchange.service_name = _ServiceTraceContext._service_name_var.get()
        if not self._is_plain:
            self._records.note(exchange)

    def write(self, exchanges: Sequence[Exchange]) -> None:
        """Write the log lines of exchanges."""
        handler = _plain_handler(self._logger)
        self._is_plain = handler is not None
        if handler is None or not all(exchange.trace_id for exchange in exchanges):
            self._records.write(exchanges)
            return
        component = _component_name()
        lines = "".join([self._line(exchange, component) for exchange in exchanges if self._rules.are_for(exchange)])
        if lines:
            with handler.lock:
                _write(handler.stream, lines)
                handler.flush()

    def _line(self, exchange: Exchange, component: str) -> str:
        second = int(exchange.ended_wall_s)
        if second != self._second:
            self._second, self._asctime = second, time.strftime(DATE_FORMAT, time.localtime(second))
        ids = f"trace={exchange.trace_id:{self._trace_format}},span={exchange.span_id:{self._span_format}}"
        trace = f" ({ids},sampled={int(exchange.is_sampled)},service.name={exchange.service_name})"
        message = LINE_FORMAT % describe(exchange, self._rules)
        return f"{self._asctime} [INFO] [{component}] {message}{trace}\n"


def _write(stream: Any, lines: str) -> None:
    """Write lines; characters that the stream's encoding lacks are escaped."""
    try:
        stream.write(lines)
    except UnicodeEncodeError as error:  # raised before any line was written
        stream.write(lines.encode(error.encoding, "backslashreplace").decode(error.encoding))


def _plain_handler(logger: logging.Logger) -> Any | None:
    """Return the only handler of the access log if BentoML configured it; None if anything was changed."""
    has_own_records = logging.getLogRecordFactory() is not logging.LogRecord
    if has_own_records or logger.filters or not logger.isEnabledFor(logging.INFO):
        return None
    handlers: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        handlers += current.handlers
        current = current.parent if current.propagate else None
    if len(handlers) != 1:
        return None
    handler: Any = handlers[0]
    formatter = handler.formatter
    filters: list[Any] = handler.filters
    is_plain = (
        type(handler) is logging.StreamHandler
        and type(formatter) is logging.Formatter
        and (formatter._fmt, formatter.datefmt) == (TRACED_LOG_FORMAT, DATE_FORMAT)
        and len(filters) == 1
        and type(filters[0]) is TraceRecordFilter
        and handler.level <= logging.INFO
        and handler.terminator == "\n"
    )
    return handler if is_plain else None
