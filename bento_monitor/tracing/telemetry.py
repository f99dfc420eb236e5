"""Tracing of a worker: starts ledgers, activates their contexts, and submits finished ledgers to the pipeline."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from functools import partial

from opentelemetry import context as otel_context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from ..resilience.rate_limited_log import RateLimitedLog
from ..settings import MonitorSettings
from ..telemetry_environment import read_telemetry_environment
from .context.caller import CallerReader
from .context.propagation import context_of_batch, context_of_caller, enter_request, span_context_of, start_ledger
from .export.delivery_report import DeliveryReportWriter
from .export.exporter_state import PipelineStats
from .export.pipeline import Pipeline
from .exporters import make_exporters, make_resource, make_sampler
from .ledger.ledger import BatchRecord, Ledger
from .sampling.rate_limit import TokenBucket
from .sampling.tail_sampling import TailSampler
from .user_provider import ProviderExporter, find_user_provider
from .user_spans import set_provider

_LOGGER = logging.getLogger("bento_monitor")


class Telemetry:
    """The tracing of one worker process of one service."""

    def __init__(self, service: str, settings: MonitorSettings) -> None:
        """Read exporters and sampler from the environment; ignored variables are logged as warnings."""
        for warning in read_telemetry_environment().warnings:
            _LOGGER.warning("%s", warning)
        self._sampler = make_sampler()
        self._keeps_trace_state = settings.trace_state
        self._reader = CallerReader(keeps_trace_state=settings.trace_state)
        limit = settings.trace_rate_limit
        self._bucket = TokenBucket(limit, settings.trace_rate_burst) if limit else None
        self.rate_limited = 0
        self._limit_log = RateLimitedLog(
            _LOGGER,
            "%d requests were left untraced by the limit of %s traces per second (BENTO_MONITOR_TRACE_RATE_LIMIT).",
            60.0,
        )
        self._limit_text = f"{limit:g}"
        self._takes_user_spans = settings.user_spans and settings.tracing
        # No tail sampling if the user has switched sampling off.
        self._tail_sampler = None if self._sampler is ALWAYS_OFF else _make_tail_sampler(settings)
        made_in = os.getpid()
        self._pipeline = Pipeline(
            lambda: make_exporters(settings, is_forked=os.getpid() != made_in),
            lambda: make_resource(service),
            settings.trace_queue_size,
            DeliveryReportWriter(settings.home, service),
        )

    @property
    def resource(self) -> Resource:
        """Resource of this process, attached to every span."""
        return self._pipeline.resource

    def start_ledger(
        self, headers: Collection[tuple[bytes, bytes]], received_ns: int, method: str = "", route: str | None = None
    ) -> Ledger:
        """Start the ledger of a request that arrived at `received_ns`, in its caller's trace or in a new trace.

        Requests over the trace rate limit are not sampled, so that a flood of sampled callers cannot force exports.
        """
        ledger = start_ledger(headers, received_ns, self._sampler, method, route, self._reader)
        if ledger.sampled and self._bucket is not None and not self._bucket.take():
            ledger.sampled = False
            self.rate_limited += 1
            self._limit_log.note(self._limit_text)
        return ledger

    def reopen(self) -> None:
        """Accept finished requests again after a shutdown."""
        self._pipeline.reopen()

    def adopt_user_provider(self) -> bool:
        """Use the user's tracer provider and its sampler; return False if the user has set no provider.

        Without a user provider, spans of the user's code are exported by the monitor's exporters, unless the settings
        exclude them.

        Call this after the user's code has started and before the first request. User spans are then children of the
        monitor's spans, in one trace with one resource, and no span is exported twice.
        """
        provider = None if read_telemetry_environment().disabled else find_user_provider()
        if provider is not None:
            self._sampler = provider.sampler
            self._tail_sampler = None  # only the provider's sampler decides
            self._pipeline.replace_exporters(lambda: [ProviderExporter(provider)], lambda: provider.resource)
        elif self._takes_user_spans:
            keeps = self._tail_sampler is not None
            set_provider(self.resource, self._sampler, self._pipeline.submit_user_span, keeps_unsampled=keeps)
        return provider is not None

    def adopt_propagators(self) -> None:
        """Read callers' contexts with the propagators of the process. Call this after the user's code has started."""
        from opentelemetry.propagate import get_global_textmap

        self._reader = CallerReader(get_global_textmap(), keeps_trace_state=self._keeps_trace_state)

    def enter_untraced(self, headers: Collection[tuple[bytes, bytes]]) -> Callable[[], None] | None:
        """Activate the caller's context for an untraced request.

        Returns:
            A function that restores the previous context; None if the caller sent no context.
        """
        context = context_of_caller(self._reader.read(headers))
        return None if context is None else partial(otel_context.detach, otel_context.attach(context))

    def enter_request(self, ledger: Ledger) -> Callable[[], None]:
        """Make the request's server span the current span; return a function that restores the previous context."""
        return partial(otel_context.detach, enter_request(ledger))

    def headers_below(self, ledger: Ledger, headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the request's headers with its server span as the caller; the request's context must be active."""
        return self._reader.headers_below(headers, span_context_of(ledger))

    def enter_batch(self, record: BatchRecord) -> None:
        """Make the batch's span the current span for the rest of the batch's context."""
        otel_context.attach(context_of_batch(record))

    def finish(self, ledger: Ledger) -> None:
        """Submit a finished request; never blocks."""
        if self._tail_sampler is not None:
            ledger.sampling_reason = self._tail_sampler.reason_for(ledger)
            if ledger.sampling_reason is None:
                ledger.held_spans = ()
        self._pipeline.submit(ledger)
        for record, _ in ledger.batches:
            record.leave(ledger)
            self._submit_if_over(record)

    def finish_batch(self, record: BatchRecord) -> None:
        """Submit a finished batch; never blocks. Its spans are built after all of its requests have ended."""
        self._submit_if_over(record)

    def _submit_if_over(self, record: BatchRecord) -> None:
        if record.is_over:
            self._pipeline.submit_batch(record)

    def stats(self) -> PipelineStats:
        """Return the counts of everything that was submitted."""
        return self._pipeline.stats()

    def flush(self, timeout_s: float) -> bool:
        """Export everything that is finished; return False if this takes longer than `timeout_s`."""
        return self._pipeline.flush(timeout_s)

    def shutdown(self, timeout_s: float) -> None:
        """Export everything that is finished, within `timeout_s`, and close the exporters."""
        self._pipeline.shutdown(timeout_s)


def _make_tail_sampler(settings: MonitorSettings) -> TailSampler | None:
    if not settings.trace_tail_sampling:
        return None
    limit = settings.trace_tail_rate_limit
    return TailSampler(
        settings.trace_tail_sampling,
        settings.trace_slow_ms,
        TokenBucket(limit, max(int(10 * limit), 1)) if limit else None,
    )
