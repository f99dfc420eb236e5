"""Worker threads for functions that are not async, with one queue and no limiter.

`anyio.to_thread.run_sync` with a limiter, which BentoML uses, makes a request wait for several turns of the event loop:
with 16 requests at once and a function that does nothing, it takes 164 us of the loop's thread per request; here, 9 us.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from typing import Any

import anyio
import anyio.to_thread

from .completion_batching import CompletionBatching


class _Job:
    """One call of a function. The lock of `FunctionThreads` guards `is_running` and `is_abandoned`."""

    __slots__ = ("context", "error", "function", "future", "is_abandoned", "is_running", "result")

    def __init__(self, function: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self.function = function
        self.context = copy_context()
        self.future = future
        self.is_running = False
        self.is_abandoned = False
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Set the result of the future. Called on the event loop's thread."""
        error, self.error = self.error, None  # break a cycle: its traceback holds a frame that holds the job
        if self.future.done():
            return
        if error is None:
            self.future.set_result(self.result)
        elif isinstance(error, StopIteration):  # futures refuse it; BentoML looks for anyio's message
            self.future.set_exception(RuntimeError("coroutine raised StopIteration"))
        else:
            self.future.set_exception(error)


class _Crew:
    """The threads of one event loop and their queue. A later loop has another crew."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.returning: CompletionBatching[_Job] = CompletionBatching(self.jobs.qsize, _Job.settle)
        self.workers = 0
        self.unanswered = 0

    def fail_waiting(self, error: Exception) -> None:
        """Fail all queued calls with `error`."""
        while True:
            try:
                job = self.jobs.get_nowait()
            except Empty:
                return
            if job is not None:
                job.error = error
                job.settle()


class FunctionThreads:
    """Runs at most `count` functions at once, each in a copy of its caller's context.

    If a caller is canceled, its running function is abandoned and another thread takes its place, so functions that
    hang do not block the service; a function that has not begun is not run. The threads are anyio's, so
    `anyio.from_thread` works in them, which BentoML's sync clients need.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._crew = _Crew()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in one of the threads.

        Raises:
            Exception: what the function raised.
        """
        loop, crew = asyncio.get_running_loop(), self._crew
        job = _Job(functools.partial(function, *args, **kwargs), loop.create_future())
        crew.unanswered += 1
        crew.jobs.put(job)
        crew.returning.look_soon(loop)
        if crew.workers < min(self._count, crew.unanswered):
            self._start_worker(loop, crew)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._abandon(job, loop, crew)
            raise
        finally:
            crew.unanswered -= 1
            del job  # break a cycle: its future may hold an exception, whose traceback holds this frame

    def stop(self) -> None:
        """End each thread when the queue is empty. Later calls, on another event loop, get new threads."""
        for _ in range(self._crew.workers):
            self._crew.jobs.put(None)
        self._crew = _Crew()

    def _start_worker(self, loop: asyncio.AbstractEventLoop, crew: _Crew) -> None:
        crew.workers += 1
        # In an empty context: the thread outlives the request that starts it.
        task = loop.create_task(self._hold_worker(loop, crew), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hold_worker(self, loop: asyncio.AbstractEventLoop, crew: _Crew) -> None:
        try:
            await anyio.to_thread.run_sync(self._work, loop, crew, limiter=anyio.CapacityLimiter(1))
        except Exception as error:  # the thread cannot start; without any other thread, queued calls fail
            crew.workers -= 1
            if not crew.workers:
                crew.fail_waiting(error)

    def _abandon(self, job: _Job, loop: asyncio.AbstractEventLoop, crew: _Crew) -> None:
        with self._lock:
            job.is_abandoned = job.is_running
        if job.is_abandoned:
            crew.workers -= 1
            if crew.unanswered > crew.workers:
                self._start_worker(loop, crew)

    def _work(self, loop: asyncio.AbstractEventLoop, crew: _Crew) -> None:
        while (job := crew.jobs.get()) is not None:
            if not job.future.cancelled() and not self._run(job, loop, crew):
                return

    def _run(self, job: _Job, loop: asyncio.AbstractEventLoop, crew: _Crew) -> bool:
        """Run one call, and return whether the thread is still needed."""
        job.is_running = True
        try:
            job.result = job.context.run(job.function)
        except BaseException as raised:
            job.error = raised
        with self._lock:
            job.is_running = False
            is_needed = not job.is_abandoned
        try:
            crew.returning.put(loop, job)
        except RuntimeError:  # the loop was closed: nobody waits for the result
            return False
        finally:
            del job  # break a cycle: the error's traceback holds this frame
        return is_needed
