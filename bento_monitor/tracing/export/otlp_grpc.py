"""OTLP over gRPC: the SDK's exporter, with the message parsed from our own encoding, which C code does."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExportResult

from .finished_span import FinishedSpan
from .otlp_encoder import encode_spans


class _BytesExporter(OTLPSpanExporter):
    def _translate_data(self, data: Sequence[FinishedSpan]) -> ExportTraceServiceRequest:  # type: ignore[override]
        message: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(encode_spans(data))
        return message


class OtlpGrpcExporter:
    """Sends spans over gRPC, as the `OTEL_EXPORTER_OTLP_*` variables say."""

    def __init__(self) -> None:
        self._exporter = _BytesExporter()

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Send spans in one request."""
        return self._exporter.export(spans)  # type: ignore[arg-type]

    def shutdown(self) -> None:
        """Close the channel."""
        self._exporter.shutdown()
