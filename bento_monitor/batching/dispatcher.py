"""The batch dispatcher: event-driven, keeps the context of each request, and can be reconfigured while it runs.

It replaces BentoML's `CorkDispatcher`, which polls every millisecond, runs every batch in the context of the first
request that the worker ever batched, and cannot be reconfigured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any

from ..serving_config import Batching
from ..tracing.context.current_api import current_api
from ..tracing.ledger.ledger import BatchRecord, Ledger, current_batch, current_ledger, traced_work
from .job import Job, RowCodec
from .latency_budget import LatencyBudget
from .queue import JobQueue

RunBatch = Callable[[Sequence[Any], int], Awaitable[Sequence[Any]]]


def _do_nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class BatchHooks:
    """Callbacks around a batch.

    Args:
        enter: called in the batch's own context before it runs, to make its span current.
        done: called with the finished record.
        share: copies the changes of the function to the context of the batch's first request into that of another.
    """

    enter: Callable[[BatchRecord], None] = _do_nothing
    done: Callable[[BatchRecord], None] = _do_nothing
    share: Callable[[Context, Context], None] | None = None


class BatchDispatcher:
    """Gathers requests into batches, and returns to each request its own answer.

    A batch starts when the function is free and either `max_batch_size` rows wait or the oldest request has waited
    `window_ms`. With a window of 0, everything queued becomes the next batch as soon as the function is free. If the
    function may run several times at once, a further batch starts only with at least as many rows as the smallest
    running batch: otherwise requests that return one by one would be cut into smaller and smaller batches. Under load,
    the next full batch is handed over while all threads are still busy, so that threads do not wait for the event loop.

    A request is not computed if its client has left or its time is over. Requests that reach this API through another
    API have separate batches, because a release may cover only one of the two APIs.
    """

    def __init__(
        self,
        api: str,
        run: RunBatch,
        codec: RowCodec,
        batching: Batching,
        *,
        max_latency_ms: float,
        overloaded: Callable[[], Exception],
        max_in_flight: int = 1,
        hands_over_early: bool = False,
        isolate_failures: bool = False,
        hooks: BatchHooks | None = None,
    ) -> None:
        """Create a dispatcher for one API.

        Args:
            api: name of the API, for the record of a batch.
            run: runs the function on the values of a batch, given their number of rows; returns one output per value.
            codec: counts, splits and joins rows.
            batching: maximum batch size in rows, and window.
            max_latency_ms: a request that can no longer be answered within this time fails without being run.
            overloaded: creates the error for such a request.
            max_in_flight: maximum number of batches that run at once.
            hands_over_early: `run` accepts one more batch, runs it when another has ended, and then sets the
                `started_ns` of its `current_batch`.
            isolate_failures: run a batch that fails again in halves, so that only the faulty request fails.
            hooks: callbacks around a batch.
        """
        self._api = api
        self._run = run
        self._codec = codec
        self._batching = batching
        self._max_in_flight = max_in_flight
        self._hands_over_early = hands_over_early
        self._isolates = isolate_failures
        self._hooks = hooks or BatchHooks()
        self._latency_budget = LatencyBudget(max_latency_ms)
        self._queue = JobQueue(codec, self._latency_budget, overloaded)
        self._rows_in_flight: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_pump_scheduled = False
        self._window_timer: asyncio.TimerHandle | None = None

    @property
    def batching(self) -> Batching:
        """The current batch size and window."""
        return self._batching

    @property
    def waiting_rows(self) -> int:
        """The number of rows that wait for a batch."""
        return self._queue.rows

    def configure(self, batching: Batching) -> None:
        """Set batch size and window from the next batch on. Call it on the event loop's thread."""
        self._batching = batching
        if self._queue:
            self._schedule_pump(asyncio.get_running_loop())

    async def submit(self, value: Any, batch_key: Hashable = None) -> Any:
        """Queue `value` and return its answer. Only requests with the same `batch_key` share a batch.

        Raises:
            Exception: the error that the function raised, or the one that `overloaded` returned.
        """
        loop = asyncio.get_running_loop()
        ledger = current_ledger.get()
        rows = self._codec.count(value)
        now_ns = time.monotonic_ns()
        if ledger is not None:
            ledger.queued_ns = now_ns
            ledger.rows = rows
        asked_api = current_api(traced_work())
        job = Job(value, rows, now_ns, copy_context(), ledger, loop.create_future(), asked_api, batch_key)
        self._queue.append(job)
        self._schedule_pump(loop)
        try:
            return await job.future
        finally:
            job.future.cancel()

    def _schedule_pump(self, loop: asyncio.AbstractEventLoop) -> None:
        # Deferred: requests that arrived in the same turn of the event loop belong in the same batch.
        if not self._is_pump_scheduled and self._has_room():
            self._is_pump_scheduled = True
            loop.call_soon(self._pump, loop)

    def _has_room(self) -> bool:
        room = self._max_in_flight - len(self._rows_in_flight)
        if room == 0 and self._hands_over_early:
            return self._queue.rows >= self._batching.max_batch_size
        return room > 0

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_pump_scheduled = False
        if self._window_timer is not None:
            self._window_timer.cancel()
            self._window_timer = None
        self._start_batches(loop)
        self._queue.refuse_late()

    def _start_batches(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._has_room():
            oldest = self._queue.oldest()
            if oldest is None:
                return
            if self._queue.rows < self._batching.max_batch_size:
                waited_s = (time.monotonic_ns() - oldest.queued_ns) / 1e9
                remaining_s = self._batching.window_ms / 1e3 - waited_s
                if remaining_s > 0:
                    self._window_timer = loop.call_later(remaining_s, self._pump, loop)
                    return
                if self._rows_in_flight and self._queue.rows < min(self._rows_in_flight):
                    return
            self._start_batch(loop)

    def _start_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs = self._queue.take(self._batching.max_batch_size)
        if not jobs:  # since `oldest`, the last job became late, was abandoned or could not be split
            return
        record, context = self._enter(jobs)
        self._rows_in_flight.append(record.rows)
        task = loop.create_task(self._run_to_end(jobs, record), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_to_end(self, jobs: list[Job], record: BatchRecord) -> None:
        try:
            await self._run_jobs(jobs, record)
        finally:
            for job in jobs:
                job.future.cancel()
            self._rows_in_flight.remove(record.rows)
            if self._queue:
                self._schedule_pump(asyncio.get_running_loop())

    def _enter(self, jobs: list[Job]) -> tuple[BatchRecord, Context]:
        # The function runs in a copy of the first request's context; variables of that request alone are replaced.
        context = jobs[0].context.copy()
        rows, now_ns = sum(job.rows for job in jobs), time.monotonic_ns()
        record = BatchRecord(self._api, _ledgers_of(jobs), rows, now_ns, asked_api=jobs[0].asked_api)
        record.row_traces = tuple([(0 if job.ledger is None else job.ledger.trace_id, job.rows) for job in jobs])
        members = ((job.ledger, job.rows) for job in jobs if job.ledger is not None)
        for position, (ledger, rows) in enumerate(members):
            ledger.join(record, position, rows)
        context.run(self._enter_context, record)
        return record, context

    def _enter_context(self, record: BatchRecord) -> None:
        current_ledger.set(None)
        current_batch.set(record)
        self._hooks.enter(record)

    async def _run_jobs(self, jobs: list[Job], record: BatchRecord) -> None:
        ledgers = _ledgers_of(jobs)
        error: BaseException | None = None
        outputs: Sequence[Any] = ()
        try:
            outputs = await self._run([job.value for job in jobs], record.rows)
            if len(outputs) != len(jobs):
                error = RuntimeError(f"{self._api} returned {len(outputs)} answers to a batch of {len(jobs)} requests.")
        except Exception as raised:
            error = raised
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._close(record, ledgers, error)
        if error is None:
            self._answer(jobs, outputs)
        elif self._isolates and len(jobs) > 1:
            await self._run_halves(jobs)
        else:
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(error)

    async def _run_halves(self, jobs: list[Job]) -> None:
        middle = len(jobs) // 2
        for half in (jobs[:middle], jobs[middle:]):
            waiting = [job for job in half if not job.is_given_up]
            if waiting:
                record, context = self._enter(waiting)
                await asyncio.get_running_loop().create_task(self._run_jobs(waiting, record), context=context)

    def _close(self, record: BatchRecord, ledgers: list[Ledger], error: BaseException | None) -> None:
        record.is_closed = True
        record.ended_ns = time.monotonic_ns()
        record.error_type = type(error).__qualname__ if error is not None else None
        for ledger in ledgers:
            if not ledger.started_ns:
                ledger.taken_ns, ledger.handed_ns = record.taken_ns, record.handed_ns
                ledger.started_ns = record.started_ns
            ledger.ended_ns = record.ended_ns
        if error is None:
            self._latency_budget.note(record.ended_ns - record.started_ns)
        self._hooks.done(record)

    def _answer(self, jobs: list[Job], outputs: Sequence[Any]) -> None:
        share = self._hooks.share
        for job, output in zip(jobs, outputs, strict=True):
            if job.future.done():
                continue
            if share is not None and job is not jobs[0]:
                share(jobs[0].context, job.context)
            _settle(job.future, output)


def _ledgers_of(jobs: Sequence[Job]) -> list[Ledger]:
    return [job.ledger for job in jobs if job.ledger is not None]


def _settle(future: asyncio.Future[Any], output: Any) -> None:
    """Set the answer of one request. If the function returned an exception for a row, only this request fails."""
    failure = next((row for row in output if isinstance(row, Exception)), None) if isinstance(output, list) else None
    if failure is None:
        future.set_result(output)
    else:
        future.set_exception(failure)
