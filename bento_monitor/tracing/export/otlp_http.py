"""OTLP over HTTP: the SDK's exporter reads the standard variables, sends and retries; the encoding is our own."""

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
_MAX_BODY_BYTES = 64 * 2**20  # the specification recommends that receivers accept this much


class OtlpHttpExporter:
    """Sends spans over HTTP, as the `OTEL_EXPORTER_OTLP_*` variables say."""

    def __init__(self) -> None:
        self._exporter = OTLPSpanExporter()
        # This private client takes bytes. If the SDK does not have it (before 1.45, or later), the SDK encodes.
        client: Any = getattr(self._exporter, "_client", None)
        self._send = getattr(client, "export", None)

    @property
    def is_encoding(self) -> bool:
        """Whether spans are encoded by `otlp_encoder`, and not by the SDK."""
        return self._send is not None

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Send spans in one request."""
        if self._send is None:
            return self._exporter.export([to_sdk_span(span) for span in spans])
        body = encode_spans(spans)
        if len(body) > _MAX_BODY_BYTES:
            _LOGGER.warning("An export of %d spans is dropped: it has %d bytes, over 64 MiB.", len(spans), len(body))
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS if self._send(body).success else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection; an export that waits for its retry is given up."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
