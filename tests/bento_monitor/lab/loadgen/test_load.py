from __future__ import annotations

import socket

import numpy as np
import psutil
import pytest

from bento_monitor.errors import InputError, MeasurementError
from bento_monitor.lab.loadgen import LoadSpec, run_load, start_load, summarize
from bento_monitor.lab.loadgen.packing import write_bodies

BODIES = tuple(b'{"x": %d}' % number for number in range(7))


def spec(stub, **changes):
    return LoadSpec(
        **({"port": stub.port, "path": "/f", "bodies": BODIES, "mode": "closed", "connections": 3} | changes)
    )


def children():
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_closed_load_sends_every_request_once_in_the_seeded_order(stub):
    result = run_load(spec(stub, request_count=50, keep_every=1, seed=3, connections=1))
    summary = summarize(result)
    assert (summary.requests, summary.ok, summary.failed) == (50, 50, 0)
    assert stub.bodies == [BODIES[index] for index in result.body_index]
    assert sorted(result.body_index[:7]) == list(range(7))
    assert (result.body_index[7:] == result.body_index[:-7]).all()
    assert [result.responses[request] for request in range(50)] == stub.bodies


def test_seed_determines_the_requests(stub):
    orders = [run_load(spec(stub, request_count=14, seed=seed)).body_index.tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_requests_in_flight_never_exceed_the_connections(stub):
    result = run_load(spec(stub, request_count=200, connections=4))
    for sent in result.sent_ns:
        assert ((result.sent_ns <= sent) & (result.done_ns > sent)).sum() <= 4


def test_timed_load_ends_after_its_window_and_counts_only_the_window(stub):
    result = run_load(spec(stub, warmup_s=0.2, duration_s=0.3))
    assert result.window_start_ns - result.started_ns == 200_000_000
    assert result.window_end_ns - result.window_start_ns == 300_000_000
    summary = summarize(result)
    assert 0 < summary.requests < len(result.status)
    done = (result.done_ns >= result.window_start_ns) & (result.done_ns <= result.window_end_ns)
    assert summary.rps == pytest.approx(done.sum() / 0.3)


def test_headers_and_traceparents_are_sent_with_their_requests(stub):
    traceparents = tuple(f"00-{number:032x}-{number:016x}-01" for number in range(1, 21))
    run_load(spec(stub, request_count=20, traceparents=traceparents, headers=(("X-Arm", "a"),)))
    assert sorted(head.split(b"traceparent: ")[1][:55].decode() for head in stub.heads) == list(traceparents)
    assert all(b"\r\nX-Arm: a\r\n" in head for head in stub.heads)


def test_open_load_sends_poisson_arrivals_at_the_rate(stub):
    result = run_load(spec(stub, mode="open", rate_rps=2000, request_count=1500, seed=5))
    gaps = np.diff(result.planned_ns) / 1e9
    # The mean of 1,499 exponential gaps is within four standard errors, and their deviation equals their mean.
    assert gaps.mean() == pytest.approx(1 / 2000, rel=4 / np.sqrt(1499))
    assert gaps.std() == pytest.approx(1 / 2000, rel=0.2)
    assert len(stub.bodies) == 1500
    assert (result.status == 200).all()
    assert (result.sent_ns >= result.planned_ns).all()


def test_open_load_ends_on_time_and_sends_nothing_planned_later(stub):
    result = run_load(spec(stub, mode="open", arrivals="constant", rate_rps=100, warmup_s=0.1, duration_s=0.4))
    assert len(result.status) == len(stub.bodies) == 49  # the 50th is planned for the end
    assert (result.planned_ns < result.window_end_ns).all()


@pytest.mark.parametrize("max_connections", [1000, 2])
def test_server_stall_shows_in_every_request_planned_during_it(stub, max_connections):
    def stall_once(stub, number):
        if number == 50:
            stub.stall(0.4)
        return "answer"

    stub.behaviour = stall_once
    changes = {"mode": "open", "arrivals": "constant", "rate_rps": 200, "request_count": 200}
    result = run_load(spec(stub, max_connections=max_connections, connections=2, **changes))
    start, end = stub.stalled_ns
    stalled = (result.planned_ns > start) & (result.planned_ns < end)
    assert abs(np.diff(result.planned_ns) - 5_000_000).max() <= 1  # the plan continues unchanged
    assert stalled.sum() in (79, 80, 81)
    assert (result.done_ns[stalled] >= end).all()
    assert (result.status == 200).all()
    assert summarize(result).slowest_ms >= 390


def test_latency_counts_from_the_planned_time(stub):
    def stall_once(stub, number):
        if number == 0:
            stub.stall(0.3)
        return "answer"

    stub.behaviour = stall_once
    changes = {"mode": "open", "arrivals": "constant", "rate_rps": 100, "request_count": 20}
    result = run_load(spec(stub, connections=1, max_connections=1, **changes))
    # One connection: the second request, planned 10 ms after the first, is sent when the first is answered.
    assert result.sent_ns[1] >= result.done_ns[0]
    assert result.done_ns[1] - result.planned_ns[1] >= 280_000_000


def test_broken_connections_are_failures_and_are_reopened(stub):
    stub.behaviour = lambda stub, number: "close" if number % 10 == 9 else "answer"
    result = run_load(spec(stub, request_count=100))
    assert (result.status == 0).sum() == 10
    assert sum(result.errors.values()) == 10
    summary = summarize(result)
    assert (summary.requests, summary.ok, summary.failed) == (100, 90, 10)


def test_connection_closed_after_the_answer_is_not_a_failure(stub):
    stub.behaviour = lambda stub, number: "answer and close"
    for changes in ({}, {"mode": "open", "rate_rps": 500.0}):
        result = run_load(spec(stub, request_count=30, **changes))
        assert (result.status == 200).all()


def test_other_statuses_are_failures(stub):
    stub.behaviour = lambda stub, number: "refuse" if number % 2 else "answer"
    result = run_load(spec(stub, request_count=40))
    assert summarize(result).failed == 20
    assert sorted(set(result.status.tolist())) == [200, 503]


def test_request_that_takes_too_long_fails_and_the_load_continues(stub):
    stub.behaviour = lambda stub, number: "ignore" if number == 3 else "answer"
    result = run_load(spec(stub, request_count=20, timeout_s=0.3))
    assert dict(result.errors) == {"Timeout": 1}
    assert (result.status == 200).sum() == 19


def test_open_load_without_an_end_runs_until_stopped_and_returns_every_request(stub):
    with start_load(spec(stub, mode="open", rate_rps=500)) as load:
        stub.wait_for(40)
        assert load.is_running
        result = load.stop()
        assert load.stop() is result
    assert not load.is_running
    assert len(result.status) == len(stub.bodies) >= 40
    assert (result.status == 200).all()
    assert (result.planned_ns <= result.window_end_ns).all()


def test_requests_in_flight_at_the_stop_are_waited_for(stub):
    def stall_late(stub, number):
        if number == 20:
            stub.stall(0.3)
        return "answer"

    stub.behaviour = stall_late
    with start_load(spec(stub, mode="open", rate_rps=300)) as load:
        stub.wait_for(21)
        result = load.stop()
    assert (result.status == 200).all()
    assert len(result.status) == len(stub.bodies)
    assert (result.done_ns > result.window_end_ns).any()


def test_error_in_the_block_leaves_no_process(stub):
    before = children()
    started = set()

    def interrupted():
        with start_load(spec(stub, mode="open", rate_rps=100)):
            started.update(children() - before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert started
    assert children() == before


def test_port_without_a_server_is_reported():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(MeasurementError, match="Is the server running"):
            run_load(LoadSpec(port=unused.getsockname()[1], path="/", bodies=BODIES, mode="closed", request_count=1))


def test_load_without_2xx_answers_has_no_summary(stub):
    stub.behaviour = lambda stub, number: "refuse"
    with pytest.raises(MeasurementError, match="10 x HTTP 503"):
        summarize(run_load(spec(stub, request_count=10)))


def test_bodies_can_be_read_from_a_file(stub, tmp_path):
    write_bodies(tmp_path / "bodies.npz", BODIES)
    run_load(spec(stub, bodies=tmp_path / "bodies.npz", request_count=7))
    assert sorted(stub.bodies) == sorted(BODIES)


def test_file_without_bodies_is_refused(stub, tmp_path):
    (tmp_path / "bodies.npz").write_bytes(b"no archive")
    with pytest.raises(MeasurementError, match="no request bodies"):
        run_load(spec(stub, bodies=tmp_path / "bodies.npz", request_count=7))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "needs duration_s or request_count"),
        ({"request_count": 1, "duration_s": 1.0}, "not both"),
        ({"mode": "open"}, "rate_rps above 0"),
        ({"duration_s": 1.0, "rate_rps": 5.0}, "has no rate_rps"),
        ({"duration_s": float("nan")}, "duration_s must be above 0"),
        ({"request_count": 5, "warmup_s": 1.0}, "warmup_s goes with duration_s"),
        ({"request_count": 5, "bodies": ()}, "bodies is empty"),
        ({"request_count": 5, "path": "f"}, "must start with /"),
        ({"request_count": 5, "headers": (("a", "b\r\nc: d"),)}, "line break"),
    ],
)
def test_invalid_load_is_refused(stub, changes, message):
    with pytest.raises(InputError, match=message):
        spec(stub, **changes)
