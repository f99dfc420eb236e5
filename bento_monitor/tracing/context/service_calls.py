"""Client spans of calls to other services: parents of the called services' server spans."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import getrandbits

from opentelemetry import trace

from ..ledger.ledger import ServiceCall, traced_work
from .propagation import call_span


@contextmanager
def noted_call(service: str, method: str) -> Iterator[None]:
    """Make a call's span current during the call, and add the call to the current request or batch."""
    target = traced_work()
    parent = trace.get_current_span().get_span_context()
    if target is None or not parent.is_valid:
        yield
        return
    span_id = getrandbits(64) or 1
    started_ns, error_type = time.monotonic_ns(), None
    try:
        with call_span(parent, span_id):
            yield
    except BaseException as error:
        error_type = type(error).__qualname__
        raise
    finally:
        target.note_service_call(
            ServiceCall(
                started_ns, time.monotonic_ns(), service, method, parent.trace_id, span_id, parent.span_id, error_type
            )
        )
