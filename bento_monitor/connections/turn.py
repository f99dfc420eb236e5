"""Whose turn it is to accept: a worker takes its fair share of the connections, and leaves the rest to the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from .counts import OtherWorker

# A worker that is busy with requests looks at its sockets every few ms; one that is stopped does not.
PATIENCE_S = 0.08
# How long a worker that left a connection waiting is not waited for again.
_GIVEN_UP_S = 1.0
# One connection in so many may be out of place, so that workers seldom wait for each other.
_SLACK = 16


class Counts(Protocol):
    """What a worker knows of the others."""

    def others(self) -> list[OtherWorker]:
        """The other workers."""

    def forget_dead(self, slot: int) -> bool:
        """Whether the worker of a slot is dead; it is then no longer among the others."""


def fair_share(connections: int, workers: int) -> int:
    """How many of all the connections one of the workers may hold: its part rounded up, and a little more of many."""
    return -(-(connections + connections // _SLACK) // workers)


class Turn:
    """Says whether this worker is to take connections that wait."""

    def __init__(self, counts: Counts, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._counts = counts
        self._clock = clock
        self._waiting_since_s: float | None = None
        self._seen_accepted = 0
        self._given_up: dict[int, tuple[int, float]] = {}

    def how_many(self, own: int, pending: int) -> int:
        """How many of `pending` connections to take now, while this worker holds `own`.

        Up to a fair share of all that are held, and at once no more than of those that wait: clients that come back
        together have just left, and another's count may not show that yet. One past the share where those who hold
        less have left it waiting for `PATIENCE_S`.
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
        """Nothing waits: the next connection starts a new wait."""
        self._waiting_since_s = None

    def _is_given_up(self, worker: OtherWorker, now_s: float) -> bool:
        accepted, until_s = self._given_up.get(worker.slot, (-1, 0.0))
        return worker.accepted == accepted and now_s < until_s
