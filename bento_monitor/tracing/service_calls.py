"""Calls of another service, each a client span: the called service's server span lies under it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import getrandbits

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from .ledger import ServiceCall, current_batch, current_ledger


@contextmanager
def noted_call(service: str, method: str) -> Iterator[None]:
    """Around a call: its span is the current one, and it is noted in the request or the batch that makes it."""
    target = current_batch.get() or current_ledger.get()
    parent = trace.get_current_span().get_span_context()
    if target is None or not parent.is_valid:
        yield
        return
    span_id = getrandbits(64) or 1
    context = SpanContext(parent.trace_id, span_id, False, parent.trace_flags, parent.trace_state)
    token = otel_context.attach(set_span_in_context(NonRecordingSpan(context)))
    started_ns, error_type = time.monotonic_ns(), None
    try:
        yield
    except BaseException as error:
        error_type = type(error).__qualname__
        raise
    finally:
        otel_context.detach(token)
        target.service_calls = [
            *target.service_calls,
            ServiceCall(
                started_ns, time.monotonic_ns(), service, method, parent.trace_id, span_id, parent.span_id, error_type
            ),
        ]
