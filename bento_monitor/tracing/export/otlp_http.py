"""OTLP over HTTP: the SDK's exporter sends, retries and reads the standard variables; the bytes are ours."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from .finished_span import FinishedSpan
from .otlp_encoder import encode_spans
from .sdk_spans import to_sdk_span

_LOGGER = logging.getLogger("bento_monitor")
_MAX_BODY_BYTES = 64 * 2**20  # what the specification recommends receivers to take


class OtlpHttpExporter:
    """Sends spans to where the `OTEL_EXPORTER_OTLP_*` variables point: endpoint, headers, TLS, compression, timeout."""

    def __init__(self) -> None:
        self._exporter = OTLPSpanExporter()
        # It takes bytes, and is private: where the SDK has it not (before 1.45), or no more, the SDK encodes.
        client: Any = getattr(self._exporter, "_client", None)
        self._send = getattr(client, "export", None)

    @property
    def is_encoding(self) -> bool:
        """Whether the bytes are ours."""
        return self._send is not None

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Send spans in one request."""
        if self._send is None:
            return self._exporter.export([to_sdk_span(span) for span in spans])
        body = encode_spans(spans)
        if len(body) > _MAX_BODY_BYTES:
            _LOGGER.warning("A request with %d spans has %d bytes, more than receivers take.", len(spans), len(body))
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS if self._send(body).success else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection; a request that waits to be sent again is given up."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
