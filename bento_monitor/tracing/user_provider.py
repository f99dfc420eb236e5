"""The tracer provider that the user has set: our spans then go through its resource and its processors."""

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
# Of a provider: who decides of sampling, what describes the process, and what takes a finished span.
_NEEDED = ("sampler", "resource", "_active_span_processor", "force_flush")
# Where wrappers keep what they wrap.
_INSIDE = (
    "provider",
    "_provider",
    "wrapped",
    "_wrapped",
    "__wrapped__",
    "_real_tracer_provider",
    "delegate",
    "_delegate",
)
_MOST_WRAPPED = 16


def find_user_provider() -> Any | None:
    """The provider that the user's code, or OpenTelemetry's own start-up, has set in this process; None without one.

    It need not be a class of the SDK's: what wraps one, as Logfire's does, is looked into for what takes a span.
    """
    given = trace.get_tracer_provider()
    if isinstance(given, trace.ProxyTracerProvider | trace.NoOpTracerProvider) or is_own(given):
        return None
    for provider in _with_those_inside(given):
        if all(hasattr(provider, name) for name in _NEEDED):
            return provider
    kind = f"{type(given).__module__}.{type(given).__qualname__}"
    _LOGGER.warning(
        "The tracer provider %s takes no finished spans, so those of requests go where the OTEL_* variables point, and "
        "those of the service's own code where the provider sends them: a request's trace is in two places.",
        kind,
    )
    return None


def _with_those_inside(provider: Any) -> Iterator[Any]:
    seen: list[Any] = []
    waiting = [provider]
    while waiting and len(seen) < _MOST_WRAPPED:
        current = waiting.pop(0)
        if current is not None and not any(current is each for each in seen):
            seen.append(current)
            yield current
            waiting += [getattr(current, name, None) for name in _INSIDE]


class ProviderExporter:
    """Hands finished spans to a provider's processors, as if its own tracer had made them.

    They are the provider's from then on: what its processors lose is counted by them.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        """Hand them over."""
        for span in map(to_sdk_span, spans):
            self._provider._active_span_processor.on_end(span)  # noqa: SLF001 - nothing public takes a finished span
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Flush: BentoML's workers never run what a provider has registered for the end of the process."""
        self._provider.force_flush(_FLUSH_MS)
