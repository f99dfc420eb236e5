"""The monitor of a worker process: pipeline, dispatchers, metrics and the agent for releases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from ..backends.onnxruntime import import_onnxruntime
from ..batching import BatchDispatcher
from ..integrations import check_hooks
from ..metrics.dead_workers import remove_dead_gauges
from ..metrics.request_metrics import Levels, RequestMetrics
from ..metrics.sinks import make_sinks
from ..releases.active_store import ActiveStore
from ..releases.agent import ReleaseAgent
from ..releases.worker_state import dead_workers
from ..request.loop_lag import LoopLag
from ..request.socket_readiness import Arrivals
from ..resilience.circuit_breaker import CircuitBreaker, breaker_levels
from ..runner import read_model_structures, release_fallbacks, runners
from ..serving_config import Batching
from ..settings import MonitorSettings
from ..telemetry_environment import read_telemetry_environment
from ..tracing.export.plain_text import plain_text_warning
from ..tracing.ledger.ledger import BatchRecord, Ledger
from ..tracing.telemetry import Telemetry
from .gc_tuning import HeapTuner
from .runner_models import RunnerModels

_LOGGER = logging.getLogger("bento_monitor")


class WorkerMonitor:
    """The monitor of one worker: created when the application is built, started when it is up, stopped with it."""

    def __init__(
        self, service: str, settings: MonitorSettings, *, apis: Iterable[str] = (), has_metrics_endpoint: bool = True
    ) -> None:
        """`apis` are the names of all APIs of the service; without them, a release covers only APIs that it names."""
        self.dispatchers: dict[str, BatchDispatcher] = {}
        self.telemetry = Telemetry(service, settings)
        self.is_tracing = settings.tracing
        sinks = make_sinks(service, lambda: self.telemetry.resource, has_endpoint=has_metrics_endpoint)
        self.metrics = RequestMetrics(sinks, self._levels)
        self.in_flight = 0
        self.loop_lag = LoopLag()
        self.arrivals = Arrivals()
        self._batch_breaker = CircuitBreaker("Tracing of batches")
        self.heap_tuner = HeapTuner(lambda: self.in_flight == 0, is_tuned=settings.tune_collector)
        self._defaults: dict[str, Batching] = {}
        self._settings = settings
        self._models = RunnerModels(apis, self._configure, self._renew_heap)
        self._store = ActiveStore(settings.home, service)
        self._agent = ReleaseAgent(
            self._store,
            self._models,
            poll_interval_s=settings.release_poll_interval_s,
            probation_s=settings.release_probation_s,
        )
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Activate the active state before the first request, then follow its changes."""
        self._loop = asyncio.get_running_loop()
        if runners():
            # Imported now: the import holds the GIL for 200 ms, and requests would wait for it at a swap.
            import_onnxruntime()
        self.telemetry.reopen()
        # Each step apart: no fault of telemetry changes which model is served.
        CircuitBreaker("Using the service's own tracer provider").run(self._adopt_user_provider)
        CircuitBreaker("Using the service's own propagators").run(self.telemetry.adopt_propagators)
        if self.is_tracing:
            CircuitBreaker("Counting requests").run(self.metrics.start)
            CircuitBreaker("Watching the event loop").run(self.loop_lag.start)
        self._defaults = {api: dispatcher.batching for api, dispatcher in self.dispatchers.items()}
        read_model_structures()
        await asyncio.to_thread(self._forget_dead_workers)
        await asyncio.to_thread(self._agent.start)

    def _adopt_user_provider(self) -> None:
        if not self.telemetry.adopt_user_provider() and (warning := plain_text_warning(read_telemetry_environment())):
            _LOGGER.warning("%s", warning)

    async def stop(self) -> None:
        """Stop all parts; export queued records within the time in the settings."""
        self.heap_tuner.stop()
        self.loop_lag.stop()
        await asyncio.to_thread(self._agent.stop)
        await asyncio.to_thread(self.metrics.stop)
        await asyncio.to_thread(self.telemetry.shutdown, self._settings.flush_timeout_s)

    def enter_batch(self, record: BatchRecord) -> None:
        """Make the batch span current in the batch's own context; never raises."""
        self._batch_breaker.run(self.telemetry.enter_batch, record)

    def batch_done(self, record: BatchRecord) -> None:
        """Pass a finished batch to the pipeline, and count it; never raises."""
        self._batch_breaker.run(self.telemetry.finish_batch, record)
        self.metrics.note_batch(record)

    def finish(self, ledger: Ledger) -> None:
        """Pass a finished request to the pipeline, and count it."""
        self.telemetry.finish(ledger)
        self.metrics.note(ledger)

    def flush_metrics(self) -> None:
        """Update the metrics with all finished requests."""
        self.metrics.flush()

    def freeze_heap(self) -> None:
        """Exclude all objects that exist now from garbage collection."""
        self.heap_tuner.freeze()

    def _levels(self) -> Levels:
        stats = self.telemetry.stats()
        spans = {
            (exporter.name, state): count
            for exporter in stats.exporters
            for state, count in (
                ("built", exporter.built),
                ("exported", exporter.exported),
                ("dropped", exporter.dropped),
            )
        }
        return Levels(
            in_flight=self.in_flight,
            queue_depth={api: dispatcher.waiting_rows for api, dispatcher in self.dispatchers.items()},
            rate_limited=self.telemetry.rate_limited,
            records_dropped=stats.dropped,
            spans=spans,
            releases=self._agent.release_info(),
            fallbacks=release_fallbacks(),
            swaps=self._agent.swaps.totals(),
            breakers=breaker_levels(),
            hooks={status.name: status.is_enabled for status in check_hooks()},
        )

    def _forget_dead_workers(self) -> None:
        """Remove the gauges of killed workers of this server."""
        mine = self._agent.state
        try:
            dead = dead_workers(self._store.folder)
        except OSError:  # the folder cannot be read, so dead workers are unknown
            return
        remove_dead_gauges(state.pid for state in dead if state.server == mine.server and state.pid != mine.pid)

    def _renew_heap(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.heap_tuner.refreeze_when_idle)

    def _configure(self, batching: Mapping[str, Batching]) -> None:
        """Set the batching of each API to that of its release, or to the service's own."""
        loop = self._loop
        if loop is None:
            return
        for api, own in self._defaults.items():
            loop.call_soon_threadsafe(self.dispatchers[api].configure, batching.get(api, own))
