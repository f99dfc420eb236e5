"""Spans of a service's own code without a tracer provider of the user: the monitor exports them.

Without a provider, OpenTelemetry's API discards spans. Here they become part of the request's trace. Spans of an
unsampled request, or of a batch of unsampled requests, are held until it ends, and are exported or dropped with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from .exporters import span_limits
from .ledger.ledger import BatchRecord, Ledger, current_batch, current_ledger
from .privacy.allow_list import LONGEST_ATTRIBUTE

MAX_HELD = 64
"""Maximum number of spans that are held for one unsampled request or batch until its end."""


def set_provider(
    resource: Resource, sampler: Sampler, take: Callable[[ReadableSpan], None], *, keeps_unsampled: bool
) -> bool:
    """Set the monitor's tracer provider for user code; return False if another provider is set.

    Args:
        resource: the resource of this process.
        sampler: decides about spans outside of any request; inside a request, the request's decision applies.
        take: called with each finished span that is sampled.
        keeps_unsampled: whether the spans of unsampled requests are held until the request ends.
    """
    global _own
    if _own is not None and trace.get_tracer_provider() is _own[0]:
        _own[1].take = take  # another application in this process has set it
        return True
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return False
    provider = TracerProvider(
        sampler=_HoldingSampler(sampler) if keeps_unsampled else sampler,
        resource=resource,
        shutdown_on_exit=False,
        span_limits=_limits(),
    )
    processor = _UserSpanProcessor(take)
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    _own = provider, processor
    return True


def is_own(provider: object) -> bool:
    """Return whether a tracer provider is the one that `set_provider` has set."""
    return _own is not None and provider is _own[0]


def _limits() -> SpanLimits:
    """Return the limits of OpenTelemetry's variables, with a default for the length of a text."""
    given = span_limits()
    longest = given.max_attribute_length or LONGEST_ATTRIBUTE
    given.max_attribute_length = longest
    given.max_span_attribute_length = given.max_span_attribute_length or longest
    return given


class _HoldingSampler(Sampler):
    """Records spans inside an unsampled request without exporting them."""

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the inner sampler's decision, but record dropped spans that can be held."""
        result = self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is Decision.DROP and _holder_of(trace_id) is not None:
            return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)
        return result

    def get_description(self) -> str:
        """Return the inner sampler's description."""
        return self._inner.get_description()


class _UserSpanProcessor(SpanProcessor):
    def __init__(self, take: Callable[[ReadableSpan], None]) -> None:
        self.take = take

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Add an unsampled span to the record of its request or batch; the span may end in another context."""
        context = span.get_span_context()
        if not context.trace_flags.sampled:
            holder = _holder_of(context.trace_id)
            if holder is not None:
                holder.hold(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass on a sampled span."""
        context = span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self.take(span)


# The monitor's provider in this process, and its span processor.
_own: tuple[TracerProvider, _UserSpanProcessor] | None = None


def _holder_of(trace_id: int) -> Ledger | BatchRecord | None:
    """Return the current request or batch if it is unsampled, in that trace, and below `MAX_HELD` spans."""
    ledger, batch = current_ledger.get(), current_batch.get()
    holder: Ledger | BatchRecord
    if ledger is not None and not ledger.sampled:
        holder = ledger
    elif ledger is None and batch is not None and not batch.is_sampled:
        holder = batch
    else:
        return None
    return holder if holder.trace_id == trace_id and len(holder.held_spans) < MAX_HELD else None
