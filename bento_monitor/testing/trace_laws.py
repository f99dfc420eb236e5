"""The trace laws: rules that hold for all traces of a monitored service, and a check for violations."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .. import conventions as names
from ..tracing.ledger.stages import Interval, covered_ns
from ..tracing.store.trace_record import SpanLink, SpanRecord

_SERVER = "SERVER"
_MODELS = (names.SPAN_MODEL, names.SPAN_RUNNER)
_STAGE_OF_SPAN = {span: stage for stage, span in names.SPAN_OF_STAGE.items()}


@dataclass(frozen=True, slots=True)
class Violation:
    """A violated law, and the span that violates it; `span_id` is None if the law concerns all spans.

    Examples:
        >>> print(Violation("count", "", None, "1 request has no server span"))
        count: 1 request has no server span
    """

    law: str
    trace_id: str
    span_id: str | None
    text: str

    def __str__(self) -> str:
        where = f" (span {self.span_id} of trace {self.trace_id})" if self.span_id else ""
        return f"{self.law}: {self.text}{where}"


@dataclass(frozen=True, slots=True)
class _Spans:
    """The spans, indexed for the laws."""

    all: Sequence[SpanRecord]
    by_id: Mapping[tuple[str, str], SpanRecord]
    children: Mapping[tuple[str, str], Sequence[SpanRecord]]
    requests: int | None
    outliving: Collection[str]
    attributes: Collection[str]
    have_calls_spans: bool

    def parent_of(self, span: SpanRecord) -> SpanRecord | None:
        return self.by_id.get((span.trace_id, span.parent_span_id or ""))


def find_violations(
    spans: Sequence[SpanRecord],
    *,
    requests: int | None = None,
    outliving: Collection[str] = (),
    attributes: Collection[str] = names.ALLOWED_ATTRIBUTES,
    have_calls_spans: bool = True,
) -> list[Violation]:
    """Return all violations of trace laws in these spans; an empty list if there are none.

    Args:
        spans: all spans that one or more services have exported; incomplete traces violate the laws.
        requests: number of answered requests, if known.
        outliving: names of spans that may end after their parent, such as spans of background tasks.
        attributes: allowed attributes of the monitor's spans; other scopes are not checked.
        have_calls_spans: whether calls of other services have client spans; without them, the called service's server
            span is a child of the caller's server span.

    Examples:
        >>> find_violations([], requests=0)
        []
        >>> [violation.law for violation in find_violations([], requests=1)]
        ['one server span per request']
    """
    children: defaultdict[tuple[str, str], list[SpanRecord]] = defaultdict(list)
    for span in spans:
        children[span.trace_id, span.parent_span_id or ""].append(span)
    indexed = _Spans(
        spans,
        {(span.trace_id, span.span_id): span for span in spans},
        children,
        requests,
        outliving,
        attributes,
        have_calls_spans,
    )
    return [violation for law in _LAWS for violation in law(indexed)]


def _one_id_each(spans: _Spans) -> Iterator[Violation]:
    counts = Counter((span.trace_id, span.span_id) for span in spans.all)
    for (trace_id, span_id), count in counts.items():
        if count > 1:
            yield Violation("every span once", trace_id, span_id, f"it was exported {count} times")


def _one_server_span_per_request(spans: _Spans) -> Iterator[Violation]:
    law = "one server span per request"
    servers = [span for span in spans.all if span.kind == _SERVER]
    if spans.requests is not None and len(servers) != spans.requests:
        yield Violation(law, "", None, f"{len(servers)} server spans for {spans.requests} requests")
    if not spans.have_calls_spans:
        servers = [span for span in servers if not _is_child_of_caller(spans.parent_of(span), span)]
    for span in servers:
        parent = spans.parent_of(span)
        if parent is not None and parent.kind == _SERVER:
            yield Violation(
                law, span.trace_id, span.span_id, f"{span.name!r} is a child of the server span {parent.name!r}"
            )
    callers = Counter((span.trace_id, span.parent_span_id) for span in servers if span.parent_span_id)
    for (trace_id, span_id), count in callers.items():
        if count > 1:
            yield Violation(law, trace_id, span_id, f"one call has {count} server spans")


def _is_child_of_caller(parent: SpanRecord | None, span: SpanRecord) -> bool:
    return parent is not None and parent.kind == _SERVER and parent.service != span.service


def _no_orphans(spans: _Spans) -> Iterator[Violation]:
    for span in spans.all:
        if span.kind == _SERVER or _is_batch(span) or _is_task(span) or spans.parent_of(span) is not None:
            continue
        text = f"the parent of {span.name!r} is missing" if span.parent_span_id else f"{span.name!r} is a root"
        yield Violation("no orphans", span.trace_id, span.span_id, text)


def _children_within_parents(spans: _Spans) -> Iterator[Violation]:
    law = "children within their parents"
    for span in spans.all:
        parent = spans.parent_of(span)
        if span.end_ns < span.start_ns:
            yield Violation(law, span.trace_id, span.span_id, f"{span.name!r} ends before it starts")
        if parent is None or parent.service != span.service:  # possibly another machine's clock
            continue
        early_ns, late_ns = parent.start_ns - span.start_ns, span.end_ns - parent.end_ns
        if early_ns > 0:
            text = f"{span.name!r} starts {early_ns} ns before {parent.name!r}"
            yield Violation(law, span.trace_id, span.span_id, text)
        if late_ns > 0 and span.name not in spans.outliving:
            text = f"{span.name!r} ends {late_ns} ns after {parent.name!r}"
            yield Violation(law, span.trace_id, span.span_id, text)


def _links_both_ways(spans: _Spans) -> Iterator[Violation]:
    law = "links both ways"
    for span in spans.all:
        if not _is_batch(span) and not _is_own(span, names.SPAN_INFER):
            continue
        for link in span.links:
            other = spans.by_id.get((link.trace_id, link.span_id))
            if other is None:
                yield Violation(law, span.trace_id, span.span_id, f"{span.name!r} is linked to a span that is missing")
            elif SpanLink(span.trace_id, span.span_id) not in other.links:
                yield Violation(law, span.trace_id, span.span_id, f"{other.name!r} is not linked back to {span.name!r}")
        linked = span.attributes.get(names.BATCH_LINKED)
        if _is_batch(span) and linked != len(span.links):
            text = f"{len(span.links)} links, and {names.BATCH_LINKED} is {linked}"
            yield Violation(law, span.trace_id, span.span_id, text)
        if not _is_batch(span) and names.BATCH_SIZE in span.attributes and not span.links:
            yield Violation(law, span.trace_id, span.span_id, f"{span.name!r} has no link to its batch")


def _stages_sum(spans: _Spans) -> Iterator[Violation]:
    law = "stages sum to the request"
    for span in spans.all:
        unaccounted_ns = span.attributes.get(names.UNACCOUNTED_NS)
        if span.kind != _SERVER:
            continue
        if unaccounted_ns is None:
            yield Violation(law, span.trace_id, span.span_id, f"{span.name!r} has no {names.UNACCOUNTED_NS}")
            continue
        own = [each for each in spans.children.get((span.trace_id, span.span_id), ()) if each.scope == span.scope]
        stages_ns = sum(span.attributes.get(name, 0) for name in names.STAGES)
        # A model call of a mounted application is not a stage of the request, and may overlap one.
        models_ns = covered_ns(Interval(each.start_ns, each.end_ns) for each in own if each.name in _MODELS)
        if not 0 <= span.duration_ns - stages_ns - unaccounted_ns <= models_ns:
            text = f"stages {stages_ns} ns and {unaccounted_ns} ns unaccounted for, of {span.duration_ns} ns"
            yield Violation(law, span.trace_id, span.span_id, text)
        for each in own:
            stage_ns = span.attributes.get(_STAGE_OF_SPAN.get(each.name, ""))
            if stage_ns is not None and stage_ns != each.duration_ns:
                text = f"{each.name!r} lasts {each.duration_ns} ns, but its stage attribute says {stage_ns} ns"
                yield Violation(law, span.trace_id, each.span_id, text)


def _shares_sum(spans: _Spans) -> Iterator[Violation]:
    law = "shares sum to the model time"
    for span in spans.all:
        if not _is_batch(span) or span.attributes.get(names.BATCH_SIZE) != len(span.links):
            continue
        members = [spans.by_id.get((link.trace_id, link.span_id)) for link in span.links]
        shares = [member.attributes.get(names.MODEL_SHARE_NS, 0) for member in members if member is not None]
        models = [
            each for each in spans.children.get((span.trace_id, span.span_id), ()) if each.name == names.SPAN_MODEL
        ]
        model_ns = sum(model.duration_ns for model in models)
        # Each share is rounded down. The share of a request in several batches is the sum over all of them.
        is_whole = all(member is not None and len(member.links) == 1 for member in members)
        if is_whole and not 0 <= model_ns - sum(shares) <= len(shares):
            text = f"shares of {sum(shares)} ns, but the models ran for {model_ns} ns"
            yield Violation(law, span.trace_id, span.span_id, text)


def _allowed_attributes(spans: _Spans) -> Iterator[Violation]:
    for span in spans.all:
        if span.scope != names.SCOPE_NAME:
            continue
        for name in span.attributes:
            is_captured = span.kind == _SERVER and name.startswith(names.CAPTURED_PREFIX)
            if name not in spans.attributes and not is_captured:
                yield Violation(
                    "attributes on the allow-list", span.trace_id, span.span_id, f"{name!r} is not on the allow-list"
                )


def _is_own(span: SpanRecord, name: str) -> bool:
    return span.scope == names.SCOPE_NAME and span.name == name


def _is_task(span: SpanRecord) -> bool:
    """Return whether a span is a task's: a root span, linked to the request that submitted the task."""
    return span.kind == "CONSUMER" and span.name.startswith(f"{names.SPAN_TASK} ") and len(span.links) == 1


def _is_batch(span: SpanRecord) -> bool:
    return _is_own(span, names.SPAN_BATCH)


_LAWS: tuple[Callable[[_Spans], Iterator[Violation]], ...] = (
    _one_id_each,
    _one_server_span_per_request,
    _no_orphans,
    _children_within_parents,
    _links_both_ways,
    _stages_sum,
    _shares_sum,
    _allowed_attributes,
)
