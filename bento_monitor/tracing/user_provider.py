"""The tracer provider that the user has set: our spans then go through its resource and its processors."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from .finished_span import FinishedSpan
from .sdk_spans import to_sdk_span

_FLUSH_MS = 1_500


def find_user_provider() -> TracerProvider | None:
    """The provider that the user's code, or OpenTelemetry's own start-up, has set in this process; None without one."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider) or not hasattr(provider, "_active_span_processor"):
        return None
    return provider


class ProviderExporter:
    """Hands finished spans to a provider's processors, as if its own tracer had made them.

    They are the provider's from then on: what its processors lose is counted by them.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Hand them over."""
        for span in map(to_sdk_span, spans):
            self._provider._active_span_processor.on_end(span)  # noqa: SLF001 - nothing public takes a finished span
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Flush: BentoML's workers never run what a provider has registered for the end of the process."""
        self._provider.force_flush(_FLUSH_MS)
