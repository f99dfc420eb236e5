"""A job: the rows of one request in the dispatcher, or a part of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from ..tracing.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class RowCodec:
    """Functions that count, split and join the rows of a value (from BentoML's containers, or substitutes)."""

    count: Callable[[Any], int]
    split: Callable[[Any, Sequence[int]], list[Any]]
    """`split(value, [0, a, b])` returns the rows `0:a` and `a:b`."""
    join_outputs: Callable[[Sequence[Any]], Any]


@dataclass(slots=True)
class Job:
    """One waiting request, or the rest of a request that is larger than a batch.

    Requests share a batch only if `asked_api` (the API that the client called) and `batch_key` are equal.
    """

    value: Any
    rows: int
    queued_ns: int
    context: Context
    ledger: Ledger | None
    future: asyncio.Future[Any]
    asked_api: str | None = None
    batch_key: Hashable = None

    def can_share_with(self, other: Job) -> bool:
        """Whether both jobs may be in one batch."""
        return self.asked_api == other.asked_api and self.batch_key == other.batch_key

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for the answer: its time is over, or its client has left."""
        return self.future.done() or (self.ledger is not None and self.ledger.is_client_gone)


def split_job(job: Job, first_rows: int, codec: RowCodec) -> tuple[Job, Job]:
    """Split a job in two. Its future gets the joined answers of both parts, or the first failure."""
    loop = job.future.get_loop()
    values = codec.split(job.value, [0, first_rows, job.rows])
    sizes = (first_rows, job.rows - first_rows)
    parts = [
        Job(value, rows, job.queued_ns, job.context, job.ledger, loop.create_future(), job.asked_api, job.batch_key)
        for value, rows in zip(values, sizes, strict=True)
    ]

    def settle(done: asyncio.Future[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        if job.future.done():
            return
        if done.cancelled():
            job.future.cancel()
        elif error is not None:
            job.future.set_exception(error)
        elif all(part.future.done() for part in parts):
            try:
                job.future.set_result(codec.join_outputs([part.future.result() for part in parts]))
            except Exception as failure:
                job.future.set_exception(failure)

    def abandon(parent: asyncio.Future[Any]) -> None:
        if parent.cancelled():
            for part in parts:
                part.future.cancel()

    for part in parts:
        part.future.add_done_callback(settle)
    job.future.add_done_callback(abandon)
    return parts[0], parts[1]
