"""Spans of a service's own code where its author has set no tracer provider: they go where ours go.

OpenTelemetry's API gives code without a provider spans that nobody gets. Here they become part of the request's trace;
those of a request that is not sampled, or of a batch of such, are recorded until it has ended, and go or stay with it.
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
"""Spans of one unsampled request, or batch, that are held until its end."""


def set_provider(
    resource: Resource, sampler: Sampler, take: Callable[[ReadableSpan], None], *, keeps_unsampled: bool
) -> bool:
    """Make spans of user code ours, if nobody else has: False where a provider is set.

    Args:
        resource: describes this process.
        sampler: decides of spans outside of any request; inside, the request's decision holds.
        take: gets each finished span that is sampled.
        keeps_unsampled: whether the spans of unsampled requests are held until the request ends.
    """
    global _own
    if _own is not None and trace.get_tracer_provider() is _own[0]:
        _own[1].take = take  # an application of this process was started before
        return True
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return False
    provider = TracerProvider(
        sampler=_HoldingSampler(sampler) if keeps_unsampled else sampler,
        resource=resource,
        shutdown_on_exit=False,
        span_limits=_limits(),
    )
    taking = _Taking(take)
    provider.add_span_processor(taking)
    trace.set_tracer_provider(provider)
    _own = provider, taking
    return True


def is_own(provider: object) -> bool:
    """Whether a tracer provider is the one that `set_provider` has made."""
    return _own is not None and provider is _own[0]


def _limits() -> SpanLimits:
    """Those of OpenTelemetry's variables, and one of a text's length where they set none."""
    given = span_limits()
    longest = given.max_attribute_length or LONGEST_ATTRIBUTE
    given.max_attribute_length = longest
    given.max_span_attribute_length = given.max_span_attribute_length or longest
    return given


class _HoldingSampler(Sampler):
    """Lets spans be recorded, and not exported, inside a request that is not sampled."""

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
        """Decide as the sampler inside does, but for what is held."""
        result = self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is Decision.DROP and _holder_of(trace_id) is not None:
            return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)
        return result

    def get_description(self) -> str:
        """What decides."""
        return self._inner.get_description()


class _Taking(SpanProcessor):
    def __init__(self, take: Callable[[ReadableSpan], None]) -> None:
        self.take = take

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Hold a span that is not sampled on its request's or batch's record; it may end in another context."""
        context = span.get_span_context()
        if not context.trace_flags.sampled:
            holder = _holder_of(context.trace_id)
            if holder is not None:
                holder.hold(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Hand a sampled span over."""
        context = span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self.take(span)


# The provider of this process that is ours, and what takes its spans.
_own: tuple[TracerProvider, _Taking] | None = None


def _holder_of(trace_id: int) -> Ledger | BatchRecord | None:
    """The current request or batch, if it is not sampled, of that trace, and may hold one span more."""
    ledger, batch = current_ledger.get(), current_batch.get()
    holder: Ledger | BatchRecord
    if ledger is not None and not ledger.sampled:
        holder = ledger
    elif ledger is None and batch is not None and not batch.is_sampled:
        holder = batch
    else:
        return None
    return holder if holder.trace_id == trace_id and len(holder.held_spans) < MAX_HELD else None
