"""The requests that wait for a batch, oldest first; one that nobody waits for, or that is late, is not given out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from .job import Job, RowCodec, split_job
from .latency_budget import LatencyBudget


class JobQueue:
    """`rows` counts those that wait; it may still count requests that were given up since."""

    def __init__(self, codec: RowCodec, latency_budget: LatencyBudget, overloaded: Callable[[], Exception]) -> None:
        """`overloaded` makes the error of a request that has waited too long."""
        self._codec = codec
        self._latency_budget = latency_budget
        self._overloaded = overloaded
        self._jobs: deque[Job] = deque()
        self._late: list[Job] = []
        self.rows = 0

    def __bool__(self) -> bool:
        """Whether something waits."""
        return bool(self._jobs)

    def append(self, job: Job) -> None:
        """Let a request wait."""
        self._jobs.append(job)
        self.rows += job.rows

    def oldest(self) -> Job | None:
        """The request that has waited longest, of those that are to be computed."""
        job = self._pop()
        if job is not None:
            self._put_back(job)
        return job

    def take(self, max_rows: int) -> list[Job]:
        """Take the oldest request and those that can share its batch; one larger than `max_rows` is cut.

        One that cannot be cut fails alone.
        """
        room = max_rows
        taken: list[Job] = []
        passed: list[Job] = []
        while room > 0 and (job := self._pop()) is not None:
            if taken and not job.can_share_with(taken[0]):
                passed.append(job)
                continue
            if job.rows > room:
                if taken and job.rows <= max_rows:
                    self._put_back(job)
                    break
                try:
                    first, rest = split_job(job, room, self._codec)
                except Exception as error:
                    job.future.set_exception(error)
                    continue
                self._put_back(rest)
                job = first
            room -= job.rows
            taken.append(job)
        for job in reversed(passed):
            self._put_back(job)
        return taken

    def refuse_late(self) -> None:
        """Fail what was met on the way and came too late. Not at once: the batch that is to run goes first."""
        late, self._late = self._late, []
        for job in late:
            if not job.future.done():
                job.future.set_exception(self._overloaded())

    def _pop(self) -> Job | None:
        oldest_allowed_ns = time.monotonic_ns() - self._latency_budget.longest_wait_ns
        while self._jobs:
            job = self._jobs.popleft()
            self.rows -= job.rows
            if job.is_given_up:
                job.future.cancel()
            elif job.queued_ns < oldest_allowed_ns:
                self._late.append(job)
            else:
                return job
        return None

    def _put_back(self, job: Job) -> None:
        self._jobs.appendleft(job)
        self.rows += job.rows
