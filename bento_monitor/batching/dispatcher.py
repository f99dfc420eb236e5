"""The batch dispatcher: waits on events, keeps each request's own context, and can be re-tuned while it runs.

It takes the place of BentoML's `CorkDispatcher`, which polls every millisecond, runs every batch in the context of the
first request that the worker ever batched, and is configured once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from typing import Any

from ..releases.record import Batching
from ..tracing.ledger import BatchRecord, Ledger, current_batch, current_ledger
from .job import Job, RowCodec, split_job

RunBatch = Callable[[Sequence[Any], int], Awaitable[Sequence[Any]]]


class BatchDispatcher:
    """Gathers single requests into batches and gives each its own answer.

    A batch starts when none is running and either `max_batch_size` rows wait or the oldest request has waited
    `window_ms`. With a window of 0 whatever waits is run as soon as the function is free. A request whose client has
    gone, or that has waited too long, is not computed.
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
        enter_batch: Callable[[BatchRecord], None] = lambda record: None,
        batch_done: Callable[[BatchRecord], None] = lambda record: None,
    ) -> None:
        """Make a dispatcher for one API.

        Args:
            api: name of the API, for the batch's record.
            run: runs the function on the values of a batch and the number of rows in them; one output a value.
            codec: counts, cuts and joins rows.
            batching: batch size in rows, and window.
            max_latency_ms: a request that has waited longer than this is not run, but fails.
            overloaded: makes the error that such a request gets.
            enter_batch: called inside the batch's own context before it runs, to put its span's context in place.
            batch_done: called with the finished record.
        """
        self._api = api
        self._run = run
        self._codec = codec
        self._batching = batching
        self._max_latency_ns = int(max_latency_ms * 1e6)
        self._overloaded = overloaded
        self._enter_batch = enter_batch
        self._batch_done = batch_done
        self._queue: deque[Job] = deque()
        self._queued_rows = 0
        self._running: asyncio.Task[None] | None = None
        self._is_pump_scheduled = False
        self._window_timer: asyncio.TimerHandle | None = None

    @property
    def batching(self) -> Batching:
        """The batch size and window in force."""
        return self._batching

    def configure(self, batching: Batching) -> None:
        """Take another batch size and window, from the next batch on. Call it on the event loop's thread."""
        self._batching = batching
        if self._queue:
            self._schedule_pump(asyncio.get_running_loop())

    async def submit(self, value: Any) -> Any:
        """Wait for the answer to `value`.

        Raises:
            Exception: what the function raised, or what `overloaded` makes.
        """
        loop = asyncio.get_running_loop()
        ledger = current_ledger.get()
        rows = self._codec.count(value)
        now_ns = time.monotonic_ns()
        if ledger is not None:
            ledger.queued_ns = now_ns
            ledger.rows = rows
        job = Job(value, rows, now_ns, copy_context(), ledger, loop.create_future())
        self._queue.append(job)
        self._queued_rows += rows
        self._schedule_pump(loop)
        try:
            return await job.future
        finally:
            job.future.cancel()

    def _schedule_pump(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not at once: requests that arrived in the same turn of the loop belong to the same batch.
        if not self._is_pump_scheduled and self._running is None:
            self._is_pump_scheduled = True
            loop.call_soon(self._pump, loop)

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_pump_scheduled = False
        if self._window_timer is not None:
            self._window_timer.cancel()
            self._window_timer = None
        if self._running is not None:
            return
        self._drop_abandoned_and_late()
        if not self._queue:
            return
        waited_s = (time.monotonic_ns() - self._queue[0].queued_ns) / 1e9
        remaining_s = self._batching.window_ms / 1e3 - waited_s
        if self._queued_rows < self._batching.max_batch_size and remaining_s > 0:
            self._window_timer = loop.call_later(remaining_s, self._pump, loop)
            return
        self._start_batch(loop)

    def _drop_abandoned_and_late(self) -> None:
        oldest_allowed_ns = time.monotonic_ns() - self._max_latency_ns
        kept: deque[Job] = deque()
        for job in self._queue:
            if job.future.done():
                self._queued_rows -= job.rows
            elif job.ledger is not None and job.ledger.is_client_gone:
                self._queued_rows -= job.rows
                job.future.cancel()
            elif job.queued_ns < oldest_allowed_ns:
                self._queued_rows -= job.rows
                job.future.set_exception(self._overloaded())
            else:
                kept.append(job)
        self._queue = kept

    def _take_batch(self) -> list[Job]:
        room = self._batching.max_batch_size
        taken: list[Job] = []
        while self._queue and room > 0:
            job = self._queue.popleft()
            if job.rows > room:
                if taken and job.rows <= self._batching.max_batch_size:
                    self._queue.appendleft(job)
                    break
                job, rest = split_job(job, room, self._codec)
                self._queue.appendleft(rest)
            self._queued_rows -= job.rows
            room -= job.rows
            taken.append(job)
        return taken

    def _start_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs = self._take_batch()
        # Only the first request's context can be the function's; what must not leak from it is replaced.
        context = jobs[0].context.copy()
        members: tuple[Ledger, ...] = tuple(job.ledger for job in jobs if job.ledger is not None)
        record = BatchRecord(self._api, members, sum(job.rows for job in jobs), time.monotonic_ns())
        context.run(self._enter_context, record)
        self._running = loop.create_task(self._run_jobs(jobs, record), context=context)

    def _enter_context(self, record: BatchRecord) -> None:
        current_ledger.set(None)
        current_batch.set(record)
        self._enter_batch(record)

    async def _run_jobs(self, jobs: list[Job], record: BatchRecord) -> None:
        for position, ledger in enumerate(record.members):
            ledger.batch = record
            ledger.batch_position = position
            ledger.started_ns = ledger.started_ns or record.started_ns
        error: BaseException | None = None
        outputs: Sequence[Any] = ()
        try:
            outputs = await self._run([job.value for job in jobs], record.rows)
            if len(outputs) != len(jobs):
                error = RuntimeError(f"{self._api} gave {len(outputs)} answers to a batch of {len(jobs)} requests.")
        except Exception as raised:
            error = raised
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._finish(jobs, outputs, record, error)

    def _finish(
        self, jobs: list[Job], outputs: Sequence[Any], record: BatchRecord, error: BaseException | None
    ) -> None:
        record.ended_ns = time.monotonic_ns()
        record.error_type = type(error).__qualname__ if error is not None else None
        for ledger in record.members:
            ledger.ended_ns = record.ended_ns
        for index, job in enumerate(jobs):
            if job.future.done():
                continue
            if error is None:
                _settle(job.future, outputs[index])
            elif isinstance(error, Exception):
                job.future.set_exception(error)
            else:
                job.future.cancel()
        self._batch_done(record)
        self._running = None
        if self._queue:
            self._schedule_pump(asyncio.get_running_loop())


def _settle(future: asyncio.Future[Any], output: Any) -> None:
    """Answer one request. Where the function gave an exception for one of its rows, it alone fails."""
    failure = next((row for row in output if isinstance(row, Exception)), None) if isinstance(output, list) else None
    if failure is None:
        future.set_result(output)
    else:
        future.set_exception(failure)
