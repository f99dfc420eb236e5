"""The batch dispatcher: waits on events, keeps each request's own context, and can be re-tuned while it runs.

It takes the place of BentoML's `CorkDispatcher`, which polls every millisecond, runs every batch in the context of the
first request that the worker ever batched, and is configured once.
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
    """What is done around a batch.

    Args:
        enter: called inside the batch's own context before it runs, to put its span's context in place.
        done: called with the finished record.
        share: gives what the function left in the context of the batch's first request to that of another.
    """

    enter: Callable[[BatchRecord], None] = _do_nothing
    done: Callable[[BatchRecord], None] = _do_nothing
    share: Callable[[Context, Context], None] | None = None


class BatchDispatcher:
    """Gathers single requests into batches and gives each its own answer.

    A batch starts when the function is free and either `max_batch_size` rows wait or the oldest request has waited
    `window_ms`. With a window of 0 whatever waits is run as soon as the function is free. Where the function may run
    several times at once, a further batch starts only with as many rows as the smallest that runs: requests that come
    back one by one would else be cut into ever smaller batches. Under load the next full batch is handed over while its
    threads are still busy, so that they need not wait for the loop.

    A request whose client has gone, or whose time is over, is not computed. Requests to other APIs that call this one
    have batches of their own, since a release may govern the one and not the other.
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
        """Make a dispatcher for one API.

        Args:
            api: name of the API, for the batch's record.
            run: runs the function on the values of a batch and the number of rows in them; one output a value.
            codec: counts, cuts and joins rows.
            batching: batch size in rows, and window.
            max_latency_ms: a request that cannot be answered within this any more is not run, but fails.
            overloaded: makes the error that such a request gets.
            max_in_flight: batches that may run at once.
            hands_over_early: `run` can be given one more, and runs it when another has ended; it then sets the
                `started_ns` of its `current_batch`.
            isolate_failures: a batch that fails is run again in halves, so that the request at fault fails alone.
            hooks: what is done around a batch.
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
        """The batch size and window in force."""
        return self._batching

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for a batch."""
        return self._queue.rows

    def configure(self, batching: Batching) -> None:
        """Take another batch size and window, from the next batch on. Call it on the event loop's thread."""
        self._batching = batching
        if self._queue:
            self._schedule_pump(asyncio.get_running_loop())

    async def submit(self, value: Any, batch_key: Hashable = None) -> Any:
        """Wait for the answer to `value`, which shares a batch with requests of the same `batch_key` alone.

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
        asked_api = current_api(traced_work())
        job = Job(value, rows, now_ns, copy_context(), ledger, loop.create_future(), asked_api, batch_key)
        self._queue.append(job)
        self._schedule_pump(loop)
        try:
            return await job.future
        finally:
            job.future.cancel()

    def _schedule_pump(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not at once: requests that arrived in the same turn of the loop belong to the same batch.
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
        if not jobs:  # the last has come too late, been given up or could not be cut since it was looked at
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
        # Only the first request's context can be the function's; what must not leak from it is replaced.
        context = jobs[0].context.copy()
        rows, now_ns = sum(job.rows for job in jobs), time.monotonic_ns()
        record = BatchRecord(self._api, _ledgers_of(jobs), rows, now_ns, asked_api=jobs[0].asked_api)
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
                error = RuntimeError(f"{self._api} gave {len(outputs)} answers to a batch of {len(jobs)} requests.")
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
    """Answer one request. Where the function gave an exception for one of its rows, it alone fails."""
    failure = next((row for row in output if isinstance(row, Exception)), None) if isinstance(output, list) else None
    if failure is None:
        future.set_result(output)
    else:
        future.set_exception(failure)
