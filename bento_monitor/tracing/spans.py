"""From a finished ledger or batch to the SDK's spans, with the times that were stamped.

The spans are built directly, so that none of the SDK's limits (128 links) applies to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import getrandbits

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from .. import conventions as names
from .clock import to_wall_ns
from .ledger import BatchRecord, Ledger, ModelCall
from .privacy import AttributeValue, allowed_attributes
from .propagation import KNOWN_METHODS, batch_span_context_of, server_span_name, span_context_of
from .stages import Interval, Stage, model_share_ns, request_interval, request_stages, unaccounted_ns

_SCOPE = InstrumentationScope(names.SCOPE_NAME, schema_url=names.SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SPANS_OF_REQUEST = 1 + len(names.SPAN_OF_STAGE)
_Attributes = Mapping[str, AttributeValue | None]


def most_spans_of(record: Ledger | BatchRecord) -> int:
    """The most spans that a finished request or batch can have: what it has, where it came to every stage."""
    calls = len(record.model_calls)
    return 1 + calls if isinstance(record, BatchRecord) else _SPANS_OF_REQUEST + calls


@dataclass(frozen=True, slots=True)
class SpanBuilder:
    """Builds spans for one process, which `resource` describes."""

    resource: Resource
    wall_ns: Callable[[int], int] = to_wall_ns

    def request(self, ledger: Ledger) -> list[ReadableSpan]:
        """The spans of one finished request, its server span first; none if it is not sampled."""
        if not ledger.sampled:
            return []
        server = span_context_of(ledger)
        stages = request_stages(ledger)
        spans = [self._server_span(ledger, server, stages)]
        model_parent, within = server, request_interval(ledger)
        for stage in stages:
            if stage.name == names.STAGE_INFER:
                spans.append(self._infer_span(ledger, server, stage))
                model_parent, within = _sibling(server, ledger.infer_span_id), stage.interval
            elif stage.name in names.SPAN_OF_STAGE:
                name = names.SPAN_OF_STAGE[stage.name]
                spans.append(self._span(name, _child_of(server), stage.interval, parent=server))
        if ledger.batch is None:
            spans.extend(self._model_spans(ledger.model_calls, model_parent, within))
        return spans

    def batch(self, record: BatchRecord) -> list[ReadableSpan]:
        """The span of one finished batch, a root linked to every sampled request in it, and its model's spans."""
        if not record.linked:
            return []
        context = batch_span_context_of(record)
        last_call_ns = max((call.ended_ns for call in record.model_calls), default=0)
        whole = Interval(record.started_ns, max(record.ended_ns or last_call_ns, record.started_ns))
        span = self._span(
            names.SPAN_BATCH,
            context,
            whole,
            attributes={
                names.API_NAME: record.api,
                names.BATCH_SIZE: record.size,
                names.BATCH_ROWS: record.rows,
                names.BATCH_LINKED: len(record.linked),
                names.ERROR_TYPE: record.error_type,
            },
            links=tuple(Link(SpanContext(*ids, False, _SAMPLED)) for ids in record.linked),
        )
        return [span, *self._model_spans(record.model_calls, context, whole)]

    def _server_span(self, ledger: Ledger, context: SpanContext, stages: Sequence[Stage]) -> ReadableSpan:
        method = ledger.method if ledger.method in KNOWN_METHODS else "_OTHER"
        error_type = ledger.error_type or (str(ledger.status) if ledger.status >= 500 else None)
        return self._span(
            server_span_name(ledger.method, ledger.route),
            context,
            request_interval(ledger),
            parent=_remote_parent_of(ledger, context),
            kind=SpanKind.SERVER,
            attributes={
                names.HTTP_REQUEST_METHOD: method,
                names.URL_SCHEME: ledger.scheme,
                names.HTTP_ROUTE: ledger.route,
                names.HTTP_RESPONSE_STATUS_CODE: ledger.status or None,
                names.API_NAME: ledger.api,
                names.UNACCOUNTED_NS: unaccounted_ns(ledger, stages),
                **{stage.name: stage.interval.duration_ns for stage in stages},
                names.ERROR_TYPE: error_type,
            },
        )

    def _infer_span(self, ledger: Ledger, server: SpanContext, stage: Stage) -> ReadableSpan:
        batch = ledger.batch
        return self._span(
            names.SPAN_INFER,
            _sibling(server, ledger.infer_span_id),
            stage.interval,
            parent=server,
            attributes={
                names.API_NAME: ledger.api,
                names.BATCH_SIZE: batch.size if batch is not None else None,
                names.BATCH_ROWS: batch.rows if batch is not None else None,
                names.BATCH_POSITION: ledger.batch_position if batch is not None else None,
                names.MODEL_SHARE_NS: model_share_ns(ledger),
                names.ERROR_TYPE: batch.error_type if batch is not None else None,
            },
            links=(Link(batch_span_context_of(batch)),) if batch is not None else (),
        )

    def _model_spans(self, calls: Iterable[ModelCall], parent: SpanContext, within: Interval) -> list[ReadableSpan]:
        return [
            self._span(
                names.SPAN_MODEL,
                _child_of(parent),
                within.clamped(call.started_ns, call.ended_ns),
                parent=parent,
                attributes={
                    names.RUNNER_NAME: call.runner,
                    names.RUNNER_BACKEND: call.backend,
                    names.RUNNER_PRECISION: call.precision,
                    names.RUNNER_RELEASE: call.release,
                    names.BATCH_ROWS: call.rows,
                },
            )
            for call in calls
        ]

    def _span(
        self,
        name: str,
        context: SpanContext,
        interval: Interval,
        *,
        parent: SpanContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: _Attributes | None = None,
        links: Sequence[Link] = (),
    ) -> ReadableSpan:
        """Make a span. The only place that does, so that the allow-list holds for all of them."""
        kept = allowed_attributes(attributes or {})
        is_error = names.ERROR_TYPE in kept
        return ReadableSpan(
            name,
            context,
            parent,
            self.resource,
            kept,
            links=links,
            kind=kind,
            status=Status(StatusCode.ERROR if is_error else StatusCode.UNSET),
            start_time=self.wall_ns(interval.start_ns),
            end_time=self.wall_ns(interval.end_ns),
            instrumentation_scope=_SCOPE,
        )


def _sibling(context: SpanContext, span_id: int) -> SpanContext:
    return SpanContext(context.trace_id, span_id, False, context.trace_flags, context.trace_state)


def _child_of(parent: SpanContext) -> SpanContext:
    return _sibling(parent, getrandbits(64) or 1)


def _remote_parent_of(ledger: Ledger, server: SpanContext) -> SpanContext | None:
    if not ledger.parent_span_id:
        return None
    return SpanContext(ledger.trace_id, ledger.parent_span_id, True, server.trace_flags, server.trace_state)
