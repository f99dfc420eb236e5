"""The queue of requests that wait for a batch, oldest first. Abandoned and late requests are skipped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from .job import Job, RowCodec, split_job
from .latency_budget import LatencyBudget


class JobQueue:
    """A queue of jobs. `rows` is the number of waiting rows; it may include those of abandoned requests."""

    def __init__(self, codec: RowCodec, latency_budget: LatencyBudget, overloaded: Callable[[], Exception]) -> None:
        """`overloaded` creates the error for a request that has waited too long."""
        self._codec = codec
        self._latency_budget = latency_budget
        self._overloaded = overloaded
        self._jobs: deque[Job] = deque()
        self._late: list[Job] = []
        self.rows = 0

    def __bool__(self) -> bool:
        """Whether jobs wait."""
        return bool(self._jobs)

    def append(self, job: Job) -> None:
        """Add a job at the end."""
        self._jobs.append(job)
        self.rows += job.rows

    def oldest(self) -> Job | None:
        """Return the oldest job that is neither abandoned nor late; None if there is none."""
        job = self._pop()
        if job is not None:
            self._put_back(job)
        return job

    def take(self, max_rows: int) -> list[Job]:
        """Take the oldest job and those that can share its batch; split a job with more than `max_rows` rows.

        A job that cannot be split fails alone.
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
        """Fail the late jobs that were skipped. Called after batches have started, because these come first."""
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
