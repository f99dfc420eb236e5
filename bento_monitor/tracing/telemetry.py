"""What a worker calls: starts ledgers, puts their context in place, and hands finished ones to the pipeline."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from functools import partial

from opentelemetry import context as otel_context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from ..resilience.rate_limited_log import SparseLog
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
        """Read from the environment where spans go and which requests are sampled; what is ignored of it is logged."""
        for warning in read_telemetry_environment().warnings:
            _LOGGER.warning("%s", warning)
        self._sampler = make_sampler()
        self._keeps_trace_state = settings.trace_state
        self._reader = CallerReader(keeps_trace_state=settings.trace_state)
        limit = settings.trace_rate_limit
        self._bucket = TokenBucket(limit, settings.trace_rate_burst) if limit else None
        self.rate_limited = 0
        self._limit_log = SparseLog(
            _LOGGER,
            "%d requests were left untraced by the limit of %s traces a second (BENTO_MONITOR_TRACE_RATE_LIMIT).",
            60.0,
        )
        self._limit_text = f"{limit:g}"
        self._takes_user_spans = settings.user_spans and settings.tracing
        # Who samples nothing wants nothing.
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
        """What describes this process on every span."""
        return self._pipeline.resource

    def start_ledger(
        self, headers: Collection[tuple[bytes, bytes]], received_ns: int, method: str = "", route: str | None = None
    ) -> Ledger:
        """Begin the ledger of a request that arrived at `received_ns`, in its caller's trace or a new one.

        A request over the limit of traces is not sampled: a flood of callers that ask for it must not force exports.
        """
        ledger = start_ledger(headers, received_ns, self._sampler, method, route, self._reader)
        if ledger.sampled and self._bucket is not None and not self._bucket.take():
            ledger.sampled = False
            self.rate_limited += 1
            self._limit_log.note(self._limit_text)
        return ledger

    def reopen(self) -> None:
        """Take finished requests again, where it was shut down."""
        self._pipeline.reopen()

    def adopt_user_provider(self) -> bool:
        """Let spans go through the tracer provider that the user has set, and its sampler decide; False without one.

        Without one, spans of the user's code go where ours go, unless the settings leave them to the user.

        Call it once the user's code has started, and before the first request: user spans then lie under ours in one
        trace, of one resource, and nothing is exported twice.
        """
        provider = None if read_telemetry_environment().disabled else find_user_provider()
        if provider is not None:
            self._sampler = provider.sampler
            self._tail_sampler = None  # that sampler alone decides
            self._pipeline.replace_exporters(lambda: [ProviderExporter(provider)], lambda: provider.resource)
        elif self._takes_user_spans:
            keeps = self._tail_sampler is not None
            set_provider(self.resource, self._sampler, self._pipeline.submit_user_span, keeps_unsampled=keeps)
        return provider is not None

    def adopt_propagators(self) -> None:
        """Read the caller's context as the propagators of the process do. Call it once the user's code has started."""
        from opentelemetry.propagate import get_global_textmap

        self._reader = CallerReader(get_global_textmap(), keeps_trace_state=self._keeps_trace_state)

    def enter_untraced(self, headers: Collection[tuple[bytes, bytes]]) -> Callable[[], None] | None:
        """Give user code the caller's context where nothing is traced; what is returned undoes it, if there is any."""
        context = context_of_caller(self._reader.read(headers))
        return None if context is None else partial(otel_context.detach, otel_context.attach(context))

    def enter_request(self, ledger: Ledger) -> Callable[[], None]:
        """Make the request's server span the current one; what is returned undoes it."""
        return partial(otel_context.detach, enter_request(ledger))

    def headers_below(self, ledger: Ledger, headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The request's headers, which name its server span as the caller; its context must be in place."""
        return self._reader.headers_below(headers, span_context_of(ledger))

    def enter_batch(self, record: BatchRecord) -> None:
        """Make the batch's span the current one, for the rest of the batch's own context."""
        otel_context.attach(context_of_batch(record))

    def finish(self, ledger: Ledger) -> None:
        """Take a finished request; never blocks."""
        if self._tail_sampler is not None:
            ledger.sampling_reason = self._tail_sampler.reason_for(ledger)
            if ledger.sampling_reason is None:
                ledger.held_spans = ()
        self._pipeline.submit(ledger)
        for record, _ in ledger.batches:
            record.leave(ledger)
            self._submit_if_over(record)

    def finish_batch(self, record: BatchRecord) -> None:
        """Take a finished batch, whose spans are built once all of its requests have ended, too; never blocks."""
        self._submit_if_over(record)

    def _submit_if_over(self, record: BatchRecord) -> None:
        if record.is_over:
            self._pipeline.submit_batch(record)

    def stats(self) -> PipelineStats:
        """What became of everything that was finished."""
        return self._pipeline.stats()

    def flush(self, timeout_s: float) -> bool:
        """Hand over what is finished; False if it takes longer than `timeout_s`."""
        return self._pipeline.flush(timeout_s)

    def shutdown(self, timeout_s: float) -> None:
        """Hand over what is finished, within `timeout_s`, and close the exporters."""
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
