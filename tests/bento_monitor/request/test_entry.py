"""The entry: if a part of the monitor fails, the request is served as if the monitor were not there."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bento_monitor.request.entry import Entry
from bento_monitor.tracing.ledger.ledger import Ledger


def fail(*_: Any) -> Any:
    raise RuntimeError("a bug of ours")


def new_ledger(*_: Any) -> Ledger:
    return Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"answer"})


def ask(entry: Entry) -> list[str]:
    """Return the types of the messages that answer one request."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(entry({"type": "http", "method": "POST", "path": "/x", "headers": []}, None, send))  # type: ignore[arg-type]
    return [message["type"] for message in sent]


@pytest.mark.parametrize("step", ["start_ledger", "enter_request", "finish"])
def test_failing_step_of_the_monitor_never_affects_a_request(step: str) -> None:
    steps = {"start_ledger": new_ledger, "enter_request": lambda ledger: lambda: None, "finish": lambda ledger: None}
    steps[step] = fail
    finish = steps.pop("finish")
    worker: Any = SimpleNamespace(telemetry=SimpleNamespace(**steps), finish=finish, in_flight=0, is_tracing=True)
    entry = Entry(application, worker, {"/x": "x"})
    for _ in range(10):
        assert ask(entry) == ["http.response.start", "http.response.body"]
    assert entry._breaker.is_open


def test_nothing_is_recorded_if_tracing_is_off() -> None:
    telemetry = SimpleNamespace(start_ledger=fail, enter_request=fail, enter_untraced=lambda headers: None)
    worker: Any = SimpleNamespace(telemetry=telemetry, finish=fail, in_flight=0, is_tracing=False)
    ids: list[int] = []
    entry = Entry(application, worker, {"/x": "x"}, set_request_id=ids.append)
    assert [ask(entry), ask(entry)] == [["http.response.start", "http.response.body"]] * 2
    assert len(set(ids)) == 2
    assert all(ids)
    assert entry._breaker.failures == 0
    assert worker.in_flight == 0
