"""The user's tracer provider: if there is one, the monitor's spans use its resource and its span processors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace.export import SpanExportResult

from .export.finished_span import FinishedSpan
from .export.sdk_spans import to_sdk_span
from .user_spans import is_own

_LOGGER = logging.getLogger("bento_monitor")
_FLUSH_MS = 1_500
# Attributes that a usable provider has: for sampling, resource, finished spans and flushing.
_REQUIRED_ATTRIBUTES = ("sampler", "resource", "_active_span_processor", "force_flush")
# Attributes in which wrappers store the wrapped provider.
_WRAPPED_ATTRIBUTES = (
    "provider",
    "_provider",
    "wrapped",
    "_wrapped",
    "__wrapped__",
    "_real_tracer_provider",
    "delegate",
    "_delegate",
)
_MAX_WRAPPED = 16


def find_user_provider() -> Any | None:
    """Return the provider that the user's code or OpenTelemetry's auto-instrumentation has set; None without one.

    The provider need not be a class of the SDK: wrappers such as Logfire's are searched for the wrapped provider.
    """
    given = trace.get_tracer_provider()
    if isinstance(given, trace.ProxyTracerProvider | trace.NoOpTracerProvider) or is_own(given):
        return None
    for provider in _with_wrapped(given):
        if all(hasattr(provider, name) for name in _REQUIRED_ATTRIBUTES):
            return provider
    kind = f"{type(given).__module__}.{type(given).__qualname__}"
    _LOGGER.warning(
        "The tracer provider %s takes no finished spans. The spans of requests are exported as the OTEL_* variables "
        "say, and the spans of the service's own code by the provider: a request's trace is in two places.",
        kind,
    )
    return None


def _with_wrapped(provider: Any) -> Iterator[Any]:
    seen: list[Any] = []
    waiting = [provider]
    while waiting and len(seen) < _MAX_WRAPPED:
        current = waiting.pop(0)
        if current is not None and not any(current is each for each in seen):
            seen.append(current)
            yield current
            waiting += [getattr(current, name, None) for name in _WRAPPED_ATTRIBUTES]


class ProviderExporter:
    """Passes finished spans to a provider's processors, as if its own tracer had created them.

    A span that was passed counts as exported; losses in the processors are not counted here.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Pass the spans to the provider's processors."""
        for span in map(to_sdk_span, spans):
            self._provider._active_span_processor.on_end(span)  # noqa: SLF001 - no public method takes a finished span
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Flush the provider: BentoML's workers never run its exit handlers."""
        self._provider.force_flush(_FLUSH_MS)
