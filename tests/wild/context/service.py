"""A service that returns the caller's context from OpenTelemetry's API, and the headers that its calls would carry."""

from __future__ import annotations

import os
from typing import Any

import bentoml
from opentelemetry import baggage, propagate
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, set_span_in_context


class Plain(TextMapPropagator):
    """A company's own propagation format: `x-trace: TRACE-SPAN`, in hexadecimal."""

    @property
    def fields(self) -> set[str]:
        return {"X-Trace"}

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Context:
        found = getter.get(carrier, "X-Trace") if getter is not None else None
        trace_id, _, span_id = (found or [""])[0].partition("-")
        if not span_id:
            return context if context is not None else Context()
        remote = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(1))
        return set_span_in_context(NonRecordingSpan(remote), baggage.set_baggage("format", "plain", context))

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        current = get_current_span(context).get_span_context()
        carrier["x-trace"] = f"{current.trace_id:032x}-{current.span_id:016x}"


if os.environ.get("OWN_PROPAGATOR"):
    propagate.set_global_textmap(Plain())


def seen() -> dict[str, Any]:
    """Return the context that code has here."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return {"baggage": dict(baggage.get_all()), "sends": carrier}


@bentoml.service(metrics={"enabled": False})
class Caller:
    """APIs for every way to run a function."""

    @bentoml.api
    def sync(self) -> dict[str, Any]:
        return seen()

    @bentoml.api
    async def on_loop(self) -> dict[str, Any]:
        return seen()

    @bentoml.api(batchable=True, max_batch_size=4)
    def batched(self, xs: list[int]) -> list[dict[str, Any]]:
        found = seen()
        return [found for _ in xs]
