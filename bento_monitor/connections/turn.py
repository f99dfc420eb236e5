"""Turns in accepting: a worker accepts its fair share of the connections, and leaves the rest to the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from .counts import OtherWorker

# A worker that is busy with requests polls its sockets every few ms; a stopped worker does not.
PATIENCE_S = 0.08
# After a worker left a connection waiting, the others do not wait for it for this time.
_GIVEN_UP_S = 1.0
# One in this number of connections may be uneven, so that workers seldom wait for each other.
_SLACK = 16


class ConnectionCounts(Protocol):
    """The connection counts of the other workers."""

    def others(self) -> list[OtherWorker]:
        """Return the other workers."""

    def forget_dead(self, slot: int) -> bool:
        """Return whether the worker of a slot is dead; if so, `others` no longer includes it."""


def fair_share(connections: int, workers: int) -> int:
    """Return the connections that one worker may hold: its share of `connections` and a slack, rounded up."""
    return -(-(connections + connections // _SLACK) // workers)


class Turn:
    """Decides how many waiting connections this worker accepts."""

    def __init__(self, counts: ConnectionCounts, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._counts = counts
        self._clock = clock
        self._waiting_since_s: float | None = None
        self._seen_accepted = 0
        self._given_up: dict[int, tuple[int, float]] = {}

    def how_many(self, own: int, pending: int) -> int:
        """Return how many of `pending` connections to accept now, while this worker holds `own`.

        A worker may hold a fair share of all connections, and accept at once at most a fair share of the waiting ones:
        when clients reconnect together, the counts of other workers may not show their departure yet. It accepts one
        connection above its share if workers that hold less have left it waiting for `PATIENCE_S`.
        """
        now_s = self._clock()
        everyone = self._counts.others()
        others = [worker for worker in everyone if not self._is_given_up(worker, now_s)]
        held = own + sum(worker.connections for worker in others)
        workers = 1 + len(others)
        share = fair_share(held + pending, workers)
        if own < share:
            self.rest()
            return min(share - own, -(-pending // workers))
        behind = [worker for worker in others if worker.connections < share]
        dead = [worker for worker in behind if self._counts.forget_dead(worker.slot)]
        if dead:
            return self.how_many(own, pending)
        accepted = sum(worker.accepted for worker in everyone)
        if self._waiting_since_s is None or accepted != self._seen_accepted:
            self._waiting_since_s, self._seen_accepted = now_s, accepted
        elif now_s - self._waiting_since_s >= PATIENCE_S:
            self._given_up.update({worker.slot: (worker.accepted, now_s + _GIVEN_UP_S) for worker in behind})
            self.rest()
            return 1
        return 0

    def rest(self) -> None:
        """Note that no connection waits; the next one starts a new wait."""
        self._waiting_since_s = None

    def _is_given_up(self, worker: OtherWorker, now_s: float) -> bool:
        accepted, until_s = self._given_up.get(worker.slot, (-1, 0.0))
        return worker.accepted == accepted and now_s < until_s
