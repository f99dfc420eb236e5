"""The entry: whatever of ours fails in it, the request is served as if it were not there."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bento_monitor.fast_path.entry import Entry
from bento_monitor.tracing.ledger import Ledger


def fail(*_: Any) -> Any:
    raise RuntimeError("a bug of ours")


def new_ledger(*_: Any) -> Ledger:
    return Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"answer"})


@pytest.mark.parametrize("step", ["start_ledger", "enter_request", "finish"])
def test_a_failing_step_of_ours_never_reaches_a_request(step: str) -> None:
    steps = {"start_ledger": new_ledger, "enter_request": lambda ledger: lambda: None, "finish": lambda ledger: None}
    steps[step] = fail
    finish = steps.pop("finish")
    worker: Any = SimpleNamespace(telemetry=SimpleNamespace(**steps), finish=finish, in_flight=0)
    entry = Entry(application, worker, {"/x": "x"})
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
    for _ in range(10):
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        asyncio.run(entry(scope, None, send))
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert entry._guard.is_open
