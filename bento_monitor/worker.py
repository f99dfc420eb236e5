"""What a worker process of a monitored service holds: its pipeline, its dispatchers, its agent for releases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from .batching import BatchDispatcher
from .collector import Collector
from .errors import ReleaseError
from .guard import Guard
from .releases.agent import ReleaseAgent
from .releases.pointer import Pointer
from .releases.record import Batching, Release
from .runner import MonitoredRunner, runners
from .settings import MonitorSettings
from .tracing.ledger import BatchRecord, Ledger
from .tracing.telemetry import Telemetry


class WorkerMonitor:
    """One a worker. Made when the application is built, started when it is up, stopped with it."""

    def __init__(self, service: str, settings: MonitorSettings) -> None:
        self.dispatchers: dict[str, BatchDispatcher] = {}
        self.telemetry = Telemetry(service, settings)
        self.in_flight = 0
        self._batch_guard = Guard("Tracing of batches")
        self.collector = Collector(lambda: self.in_flight == 0)
        self._defaults: dict[str, Batching] = {}
        self._settings = settings
        self._agent = ReleaseAgent(
            Pointer(settings.home, service),
            self._take_over,
            _release_failures,
            poll_interval_s=settings.release_poll_interval_s,
            probation_s=settings.release_probation_s,
        )
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Take the active release before the first request is served, then follow the pointer."""
        self._loop = asyncio.get_running_loop()
        if runners():
            # Here, because its import holds the interpreter for 200 ms that requests would wait for at a swap.
            import onnxruntime  # noqa: F401
        self.telemetry.adopt_user_provider()
        self._defaults = {api: dispatcher.batching for api, dispatcher in self.dispatchers.items()}
        await asyncio.to_thread(self._agent.start)

    async def stop(self) -> None:
        """Hand over what is queued, within the time that the settings give."""
        self.collector.stop()
        await asyncio.to_thread(self._agent.stop)
        await asyncio.to_thread(self.telemetry.shutdown, self._settings.flush_timeout_s)

    def enter_batch(self, record: BatchRecord) -> None:
        """Put the batch span's context in place, inside the batch's own context; never raises."""
        self._guard_batch(self.telemetry.enter_batch, record)

    def batch_done(self, record: BatchRecord) -> None:
        """Hand a finished batch to the pipeline; never raises."""
        self._guard_batch(self.telemetry.finish_batch, record)

    def _guard_batch(self, hook: Callable[[BatchRecord], None], record: BatchRecord) -> None:
        if not self._batch_guard.is_open:
            try:
                hook(record)
            except Exception as error:
                self._batch_guard.record(error)

    def finish(self, ledger: Ledger) -> None:
        """Hand a finished request to the pipeline."""
        self.telemetry.finish(ledger)

    def _take_over(self, release: Release | None, folder: Path | None) -> None:
        if release is None or folder is None:
            for runner in runners().values():
                runner.reset()
            self._configure(self._defaults)
            self._renew_heap()
            return
        runner = self._runner_of(release)
        prepared = runner.prepare(release, folder)
        runner.take_over(prepared)
        if release.batching is not None:
            self._configure({release.api: release.batching})
        self._renew_heap()

    def _renew_heap(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.collector.renew_when_idle)

    def _runner_of(self, release: Release) -> MonitoredRunner:
        try:
            return runners()[release.runner]
        except KeyError:
            known = ", ".join(runners()) or "none"
            raise ReleaseError(f"The service has no runner {release.runner!r} (it has: {known}).") from None

    def _configure(self, batching: dict[str, Batching]) -> None:
        loop = self._loop
        if loop is None:
            return
        for api, value in batching.items():
            dispatcher = self.dispatchers.get(api)
            if dispatcher is not None:
                loop.call_soon_threadsafe(dispatcher.configure, value)


def _release_failures() -> int:
    return sum(runner.release_failures for runner in runners().values())
