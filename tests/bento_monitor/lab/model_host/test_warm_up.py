"""Before a race, each contender has seen the shapes of all batches: some backends compile for each of them."""

from __future__ import annotations

import time

from bento_monitor.lab.model_host.race import _warm_up


def test_each_batch_is_run_once() -> None:
    seen: list[int] = []

    def call(index: int) -> int:
        seen.append(index)
        return 1

    _warm_up(call, 5, limit_s=60.0)
    assert seen == [0, 1, 2, 3, 4]


def test_slow_model_is_not_warmed_up_for_longer_than_the_limit() -> None:
    seen: list[int] = []

    def call(index: int) -> int:
        seen.append(index)
        time.sleep(0.02)
        return 1

    _warm_up(call, 1000, limit_s=0.05)
    assert seen[0] == 0
    assert 1 < len(seen) < 5
    seen.clear()
    _warm_up(call, 1000, limit_s=0.0)
    assert seen == [0]
