"""Builds spans from a finished ledger or batch, with its recorded timestamps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import getrandbits
from typing import NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from ... import conventions as names
from ..context.propagation import KNOWN_METHODS, server_span_name
from ..ledger.clock import to_wall_ns
from ..ledger.ledger import BatchRecord, Ledger, ModelCall, ServiceCall
from ..ledger.stages import Interval, Stage, model_share_ns, request_interval, request_stages, unaccounted_ns
from ..privacy.allow_list import (
    AttributeValue,
    allowed_attributes,
    exportable_text,
    framework_attributes,
    framework_name,
    is_of_framework,
    user_attributes,
)
from .finished_span import FinishedSpan

_Attributes = Mapping[str, AttributeValue | None]


class _Place(NamedTuple):
    """Position of a span in its trace."""

    trace_id: int
    parent_span_id: int
    trace_state: str | None


def name_of(ledger: Ledger) -> str:
    """Return the name of the server span of a request, or of the span of a task."""
    if ledger.task is not None:
        return f"{names.SPAN_TASK} {ledger.task}"
    return server_span_name(ledger.method, ledger.route)


@dataclass(frozen=True, slots=True)
class SpanBuilder:
    """Builds spans for one process, whose resource is `resource`."""

    resource: Resource
    wall_ns: Callable[[int], int] = to_wall_ns

    def spans_of(self, record: Ledger | BatchRecord | ReadableSpan) -> list[FinishedSpan]:
        """Return the spans of a finished request, batch or user span."""
        if isinstance(record, Ledger):
            return self.request(record)
        return self.batch(record) if isinstance(record, BatchRecord) else self.user_span(record)

    def request(self, ledger: Ledger) -> list[FinishedSpan]:
        """Return the spans of a finished request, its server span first; none if the request is not exported."""
        if not ledger.is_kept:
            return []
        stages = request_stages(ledger)
        spans = [self._server_span(ledger, stages)]
        place = _Place(ledger.trace_id, ledger.span_id, ledger.trace_state)
        model_place, within = place, request_interval(ledger)
        for name, interval in stages:
            if name == names.STAGE_INFER:
                spans.append(self._infer_span(ledger, place, interval))
                model_place, within = place._replace(parent_span_id=ledger.infer_span_id), interval
            elif name in names.SPAN_OF_STAGE:
                spans.append(self._span(names.SPAN_OF_STAGE[name], place, interval))
        if ledger.batch is None:
            spans.extend(self._model_spans(ledger.model_calls, model_place, within))
        spans.extend(self._call_spans(ledger.service_calls, request_interval(ledger), ledger.trace_state))
        spans.extend(self._held(ledger))
        return spans

    def batch(self, record: BatchRecord) -> list[FinishedSpan]:
        """Return the spans of a finished batch: a root span linked to its exported requests, and its model spans."""
        if not record.linked:
            return []
        last_call_ns = max((call.ended_ns for call in record.model_calls), default=0)
        whole = Interval(record.started_ns, max(record.ended_ns or last_call_ns, record.started_ns))
        span = self._span(
            names.SPAN_BATCH,
            _Place(record.trace_id, 0, None),
            whole,
            span_id=record.span_id,
            attributes={
                names.API_NAME: record.api,
                names.BATCH_SIZE: record.size,
                names.BATCH_ROWS: record.rows,
                names.BATCH_LINKED: len(record.linked),
                names.ERROR_TYPE: record.error_type,
            },
            links=tuple(record.linked),
        )
        models = self._model_spans(record.model_calls, _Place(record.trace_id, record.span_id, None), whole)
        return [span, *models, *self._call_spans(record.service_calls, whole, None), *self._held(record)]

    def _held(self, record: Ledger | BatchRecord) -> Iterator[FinishedSpan]:
        for span in record.held_spans:
            if span.end_time is not None:
                yield from self.user_span(span)

    def user_span(self, span: ReadableSpan) -> list[FinishedSpan]:
        """Return one span of the service's own code, without its events: they hold exception messages and stacks."""
        context, parent = span.get_span_context(), span.parent
        if context is None:
            return []
        scope = span.instrumentation_scope.name if span.instrumentation_scope is not None else ""
        name, attributes = span.name, span.attributes or {}
        if is_of_framework(scope, span.kind):
            name, kept = framework_name(name, attributes.get(names.HTTP_ROUTE)), framework_attributes(attributes)
        else:
            kept = user_attributes(attributes)
        return [
            FinishedSpan(
                exportable_text(name),
                span.kind,
                context.trace_id,
                context.span_id,
                parent.span_id if parent is not None else 0,
                parent is not None and parent.is_remote,
                context.trace_state.to_header() or None,
                span.start_time or 0,
                span.end_time or span.start_time or 0,
                kept,
                [(link.context.trace_id, link.context.span_id) for link in span.links],
                span.status.status_code is StatusCode.ERROR,
                self.resource,
                exportable_text(scope),
            )
        ]

    def _server_span(self, ledger: Ledger, stages: Sequence[Stage]) -> FinishedSpan:
        of_http: dict[str, AttributeValue | None] = {
            names.HTTP_REQUEST_METHOD: ledger.method if ledger.method in KNOWN_METHODS else "_OTHER",
            names.URL_SCHEME: ledger.scheme,
            names.HTTP_ROUTE: ledger.route,
            names.HTTP_RESPONSE_STATUS_CODE: ledger.status or None,
        }
        attributes: dict[str, AttributeValue | None] = {
            **(of_http if ledger.task is None else {}),
            names.API_NAME: ledger.api or ledger.task,
            names.SAMPLING_REASON: ledger.sampling_reason,
            names.LOOP_LAG_NS: ledger.loop_lag_ns,
            names.UNACCOUNTED_NS: unaccounted_ns(ledger, stages),
            names.ERROR_TYPE: ledger.error_type or (str(ledger.status) if ledger.status >= 500 else None),
        }
        for name, interval in stages:
            attributes[name] = interval.end_ns - interval.start_ns
        if ledger.captured is not None:
            attributes.update(ledger.captured.attributes())
        return self._span(
            name_of(ledger),
            _Place(ledger.trace_id, ledger.parent_span_id, ledger.trace_state),
            request_interval(ledger),
            span_id=ledger.span_id,
            is_parent_remote=ledger.parent_span_id != 0,
            kind=SpanKind.SERVER if ledger.task is None else SpanKind.CONSUMER,
            attributes=attributes,
            links=() if ledger.submitted_by is None else (ledger.submitted_by,),
        )

    def _infer_span(self, ledger: Ledger, place: _Place, interval: Interval) -> FinishedSpan:
        batch = ledger.batch
        return self._span(
            names.SPAN_INFER,
            place,
            interval,
            span_id=ledger.infer_span_id,
            attributes={
                names.API_NAME: ledger.api,
                names.BATCH_SIZE: batch.size if batch is not None else None,
                names.BATCH_ROWS: batch.rows if batch is not None else None,
                names.BATCH_POSITION: ledger.batch_position if batch is not None else None,
                names.MODEL_SHARE_NS: model_share_ns(ledger),
                names.ERROR_TYPE: batch.error_type if batch is not None else None,
            },
            links=tuple((each.trace_id, each.span_id) for each, _ in ledger.batches),
        )

    def _model_spans(self, calls: Iterable[ModelCall], place: _Place, within: Interval) -> list[FinishedSpan]:
        return [
            self._span(
                names.SPAN_RUNNER if call.span_id else names.SPAN_MODEL,
                place,
                within.clamped(call.started_ns, call.ended_ns),
                span_id=call.span_id,
                kind=SpanKind.CLIENT if call.span_id else SpanKind.INTERNAL,
                attributes={
                    names.RUNNER_NAME: call.runner,
                    names.RUNNER_BACKEND: call.backend,
                    names.RUNNER_PRECISION: call.precision,
                    names.RUNNER_RELEASE: call.release,
                    names.RUNNER_METHOD: call.method,
                    names.RUNNER_FALLBACK: call.fallback,
                    names.BATCH_ROWS: call.rows,
                    names.MODEL_GPU_NS: call.gpu_ns(),
                    names.ERROR_TYPE: call.error_type,
                },
            )
            for call in calls
        ]

    def _call_spans(
        self, calls: Iterable[ServiceCall], within: Interval, trace_state: str | None
    ) -> list[FinishedSpan]:
        return [
            self._span(
                f"{call.service}/{call.method}",
                _Place(call.trace_id, call.parent_span_id, trace_state),
                within.clamped(call.started_ns, call.ended_ns),
                span_id=call.span_id,
                kind=SpanKind.CLIENT,
                attributes={
                    names.PEER_SERVICE: call.service,
                    names.API_NAME: call.method,
                    names.ERROR_TYPE: call.error_type,
                },
            )
            for call in calls
        ]

    def _span(
        self,
        name: str,
        place: _Place,
        interval: Interval,
        *,
        span_id: int = 0,
        is_parent_remote: bool = False,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: _Attributes | None = None,
        links: Sequence[tuple[int, int]] = (),
    ) -> FinishedSpan:
        """Make a span of the monitor. All of its spans are made here, so that the allow-list applies to all."""
        kept = allowed_attributes(attributes) if attributes else {}
        return FinishedSpan(
            name,
            kind,
            place.trace_id,
            span_id or getrandbits(64) or 1,
            place.parent_span_id,
            is_parent_remote,
            place.trace_state,
            self.wall_ns(interval.start_ns),
            self.wall_ns(interval.end_ns),
            kept,
            links,
            names.ERROR_TYPE in kept,
            self.resource,
        )
