"""The turn to accept: each worker gets a fair share, and no client waits for a worker that does not accept."""

from __future__ import annotations

import pytest

from bento_monitor.connections.counts import OtherWorker
from bento_monitor.connections.turn import PATIENCE_S, Turn, fair_share


class Workers:
    """The other workers, and a clock; the processes of the workers in `dead` are gone."""

    def __init__(self, *held: int) -> None:
        self.now_s = 100.0
        self.held = dict(enumerate(held, start=1))
        self.accepted = dict.fromkeys(self.held, 0)
        self.dead: set[int] = set()

    def others(self) -> list[OtherWorker]:
        return [OtherWorker(slot, held, self.accepted[slot]) for slot, held in self.held.items()]

    def forget_dead(self, slot: int) -> bool:
        if slot in self.dead:
            del self.held[slot]
        return slot in self.dead

    def turn(self) -> Turn:
        return Turn(self, clock=lambda: self.now_s)


@pytest.mark.parametrize("workers", [2, 3, 8])
@pytest.mark.parametrize("connections", [1, 2, 16, 64, 1000])
def test_shares_suffice_for_all_connections_and_are_nearly_equal(connections: int, workers: int) -> None:
    share = fair_share(connections, workers)
    assert workers * share >= connections
    assert share <= connections / workers * 1.07 + 1


def test_two_idle_workers_halve_a_burst() -> None:
    assert Workers(0).turn().how_many(0, 64) == 32


def test_next_connection_is_left_to_the_worker_with_fewer() -> None:
    assert Workers(0).turn().how_many(1, 1) == 0
    assert Workers(1).turn().how_many(0, 1) == 1


def test_single_worker_takes_all_connections() -> None:
    assert Workers().turn().how_many(500, 7) == 7


def test_connection_left_to_another_worker_is_taken_after_a_while() -> None:
    workers = Workers(0)
    turn = workers.turn()
    assert turn.how_many(1, 1) == 0
    workers.now_s += PATIENCE_S * 0.6
    assert turn.how_many(1, 1) == 0
    workers.now_s += PATIENCE_S * 0.6
    assert turn.how_many(1, 1) == 1


def test_stalled_worker_is_not_waited_for_until_it_accepts() -> None:
    workers = Workers(0)
    turn = workers.turn()
    turn.how_many(1, 1)
    workers.now_s += PATIENCE_S * 1.1
    turn.how_many(1, 1)
    assert turn.how_many(2, 5) == 5
    workers.accepted[1] += 1
    assert turn.how_many(2, 1) == 0


def test_accepting_worker_is_waited_for() -> None:
    workers = Workers(0)
    turn = workers.turn()
    for _ in range(10):
        assert turn.how_many(40, 1) == 0
        workers.now_s += PATIENCE_S * 0.9
        workers.accepted[1] += 1


def test_wait_for_a_taken_connection_does_not_count_for_the_next() -> None:
    workers = Workers(0)
    turn = workers.turn()
    turn.how_many(1, 1)
    turn.rest()
    workers.now_s += PATIENCE_S * 1.1
    assert turn.how_many(1, 1) == 0


def test_dead_worker_is_not_waited_for() -> None:
    workers = Workers(0, 9)
    workers.dead = {1}
    assert workers.turn().how_many(7, 2) > 0
    assert list(workers.held) == [2]
