from __future__ import annotations

import numpy as np
import pytest
from loads import MS, load

from bento_monitor.lab.profiling.pauses import pauses_of
from bento_monitor.lab.profiling.probe_notes import ProbeNotes, read_notes


def notes(*pauses_ms):
    pauses = np.array([(start * MS, end * MS, 2) for start, end in pauses_ms], dtype=np.int64).reshape(-1, 3)
    return ProbeNotes(pauses, np.empty((0, 2), dtype=np.int64), {}, {}, 0.0)


def stalled(start_ms: int, end_ms: int):
    """Return one request per ms, answered in 2 ms, except requests of the stall, which are answered when it ends."""
    result = load(latency_ms=2.0)
    is_stalled = (result.planned_ns >= start_ms * MS) & (result.planned_ns < end_ms * MS)
    result.done_ns[is_stalled] = end_ms * MS
    return result


def test_slow_requests_that_waited_for_a_collection_are_explained_by_it():
    found = pauses_of(stalled(300, 500), [notes((300, 500))])
    assert (found.count, found.longest_ms, found.total_ms) == (1, 200, 200)
    assert found.slow_share == 1
    assert found.every_share == pytest.approx(0.2, abs=0.01)


def test_slow_requests_outside_a_collection_are_not_explained_by_it():
    assert pauses_of(stalled(300, 500), [notes((700, 720))]).slow_share == 0


def test_short_collection_does_not_explain_a_long_wait():
    assert pauses_of(stalled(300, 500), [notes((499, 500))]).slow_share == 0


def test_collections_of_all_workers_count_only_inside_the_window():
    found = pauses_of(stalled(300, 500), [notes((300, 310)), notes((400, 420)), notes((5000, 5100))])
    assert (found.count, found.longest_ms, found.total_ms) == (2, 20, 30)


def test_without_a_collection_nothing_is_explained():
    found = pauses_of(stalled(300, 500), [])
    assert (found.count, found.longest_ms, found.slow_share, found.every_share) == (0, 0, 0, 0)


def test_notes_are_read_back_without_a_truncated_line(tmp_path):
    (tmp_path / "7.jsonl").write_text(
        '{"at_ns": 10, "pauses": [[1, 2, 0]], "lag_ns": 5, "served": {"/f": [2, 30, 1, 2, 3]}, "cost_us": 1.5}\n'
        '{"at_ns": 20, "pauses": [[11, 15, 2]], "lag_ns": 9, "served": {"/f": [1, 5, 0, 4, 0]}, '
        '"cost_us": 1.5, "census": [["dict", 3]]}\n'
        '{"at_ns": 30, "pau'
    )
    found = read_notes(tmp_path)[7]
    assert found.pauses.tolist() == [[1, 2, 0], [11, 15, 2]]
    assert found.pauses_in(10, 20).tolist() == [[11, 15, 2]]
    assert (found.longest_lag_ns(0, 30), found.longest_lag_ns(0, 15), found.longest_lag_ns(25, 30)) == (9, 5, 0)
    assert found.census == {"dict": 3}
    assert found.served_in("/f", 0, 30).tolist() == [3, 35, 1, 6, 3]
    assert found.served_in("/f", 10, 30).tolist() == [1, 5, 0, 4, 0]
    assert found.served_in("/h", 0, 30).tolist() == [0, 0, 0, 0, 0]
    assert found.cost_us == 1.5
