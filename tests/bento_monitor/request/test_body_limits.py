"""Limits of bodies: 413 and 408 whatever the application does, and no change for bodies within the limits."""

import asyncio
import json
from typing import Any

import pytest

from bento_monitor.request.exchange_records import ExchangeRecords
from bento_monitor.request.limits import BodyLimits
from bento_monitor.request.traffic import Traffic, TrafficLimits

LIMITS = BodyLimits(max_bytes=10, idle_timeout_s=30.0)


class Kept:
    def __init__(self) -> None:
        self.statuses: list[int] = []

    def note(self, exchange: Any) -> None: ...

    def write(self, exchanges: Any) -> None:
        self.statuses += [exchange.status for exchange in exchanges]


class Client:
    """A client that sends the parts that a test puts, and keeps the answer."""

    def __init__(self, headers: dict[bytes, bytes] | None = None) -> None:
        self.parts: asyncio.Queue[Any] = asyncio.Queue()
        self.answer: list[Any] = []
        self.asked = 0
        self.kept = Kept()
        self.records = ExchangeRecords(None, self.kept)
        self.scope = {"type": "http", "method": "POST", "path": "/x", "headers": list((headers or {}).items())}

    def put(self, body: bytes, *, more: bool = True) -> None:
        self.parts.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def receive(self) -> Any:
        self.asked += 1
        return await self.parts.get()

    async def send(self, message: Any) -> None:
        self.answer.append(message)

    def ask(self, application: Any, timeout_s: float | None = None) -> "asyncio.Task[None]":
        traffic = Traffic(TrafficLimits(timeout_s, None, frozenset(), LIMITS), self.records, str)
        return asyncio.ensure_future(traffic.run(application, self.scope, self.receive, self.send))

    @property
    def status(self) -> int:
        """Return the status that was both answered and recorded."""
        self.records.flush()
        assert self.kept.statuses == [message["status"] for message in self.answer if "status" in message]
        (status,) = self.kept.statuses
        return status


async def read_and_answer(_scope: Any, receive: Any, send: Any) -> None:
    body = b""
    has_more = True
    while has_more:
        message = await receive()
        body += message["body"]
        has_more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def swallow_everything(scope: Any, receive: Any, send: Any) -> None:
    """Answer every error with 500, like a user's catch-all handler."""
    for _ in range(3):
        try:
            await read_and_answer(scope, receive, send)
        except BaseException:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"failed"})


async def read_in_a_child(scope: Any, receive: Any, send: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(read_and_answer(scope, receive, send))


APPLICATIONS = pytest.mark.parametrize("application", [read_and_answer, swallow_everything, read_in_a_child])


@APPLICATIONS
def test_body_declared_too_large_is_refused_unread(clock: Any, application: Any) -> None:
    async def scenario() -> Client:
        client = Client({b"content-length": b"11"})
        await client.ask(application)
        return client

    client = clock.run(scenario())
    assert (client.status, client.asked) == (413, 0)
    assert (b"connection", b"close") in client.answer[0]["headers"]
    assert json.loads(client.answer[1]["body"]) == {"error": "The request's body is larger than 10 bytes"}


@APPLICATIONS
def test_body_that_grows_too_large_is_refused(clock: Any, application: Any) -> None:
    async def scenario() -> Client:
        client = Client()
        client.put(b"12345678")
        client.put(b"90a")
        await client.ask(application)
        return client

    client = clock.run(scenario())
    assert (client.status, client.asked) == (413, 2)
    assert (b"connection", b"close") in client.answer[0]["headers"]


def test_body_of_exactly_the_limit_is_served(clock: Any) -> None:
    async def scenario() -> Client:
        client = Client({b"content-length": b"10"})
        client.put(b"12345")
        client.put(b"67890", more=False)
        await client.ask(read_and_answer)
        return client

    assert clock.run(scenario()).status == 200


@APPLICATIONS
def test_stalled_body_is_answered_408(clock: Any, application: Any) -> None:
    async def scenario() -> tuple[bool, Client]:
        client = Client({b"content-length": b"9"})
        task = client.ask(application)
        client.put(b"1")
        await clock.advance(29.9)
        is_early = task.done()
        await clock.advance(0.2)
        await task
        return is_early, client

    is_early, client = clock.run(scenario())
    assert (is_early, client.status) == (False, 408)
    assert (b"connection", b"close") in client.answer[0]["headers"]
    assert json.loads(client.answer[1]["body"]) == {"error": "No part of the request's body came for 30 seconds"}


def test_slow_body_is_served_however_long_it_takes(clock: Any) -> None:
    async def scenario() -> Client:
        client = Client({b"content-length": b"9"})
        task = client.ask(read_and_answer)
        for number in range(9):
            await clock.advance(29)
            client.put(b"%d" % number, more=number < 8)
        await task
        return client

    client = clock.run(scenario())
    assert (client.status, client.answer[1]["body"]) == (200, b"012345678")


def test_wait_for_the_client_to_disconnect_has_no_limit(clock: Any) -> None:
    async def scenario() -> Client:
        async def wait_until_gone(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            assert (await receive())["type"] == "http.disconnect"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        client = Client()
        client.put(b"whole", more=False)
        task = client.ask(wait_until_gone)
        await clock.advance(3600)
        client.parts.put_nowait({"type": "http.disconnect"})
        await task
        return client

    assert clock.run(scenario()).status == 200


def test_started_answer_is_not_interrupted_by_a_slow_body(clock: Any) -> None:
    async def scenario() -> Client:
        async def answer_first(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await receive()
            await send({"type": "http.response.body", "body": b""})

        client = Client()
        task = client.ask(answer_first)
        await clock.advance(60)
        client.put(b"late", more=False)
        await task
        return client

    assert clock.run(scenario()).status == 200


def test_request_time_limit_holds_during_a_slow_body(clock: Any) -> None:
    async def scenario() -> Client:
        client = Client({b"content-length": b"9"})
        task = client.ask(read_and_answer, timeout_s=40)
        for _ in range(3):
            await clock.advance(20)
            client.put(b"1")
        await task
        return client

    assert clock.run(scenario()).status == 504


def test_application_error_is_raised_if_no_limit_is_exceeded(clock: Any) -> None:
    async def fail(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        raise RuntimeError("the application's own")

    async def scenario() -> None:
        client = Client()
        client.put(b"1")
        with pytest.raises(RuntimeError, match="the application's own"):
            await client.ask(fail)

    clock.run(scenario())


class Cycle:
    """uvicorn's cycle of a request."""

    def __init__(self, body: bytes, *, more_body: bool) -> None:
        self.body, self.more_body = body, more_body

    async def receive(self) -> None: ...


@pytest.mark.parametrize(
    ("cycle", "expected"),
    [
        (Cycle(b"0123456789", more_body=False), True),
        (Cycle(b"0123456789a", more_body=False), False),
        (Cycle(b"", more_body=True), False),
    ],
)
def test_complete_body_in_uvicorn_needs_no_reader(cycle: Cycle, expected: bool) -> None:
    assert LIMITS.hold_for(cycle.receive) is expected


def test_receive_of_another_server_gets_a_reader() -> None:
    assert not LIMITS.hold_for(None)
    assert not LIMITS.hold_for(Client().receive)


@pytest.mark.parametrize(("length", "expected"), [(b"10", False), (b"11", True), (b"9" * 5000, True), (b"x", False)])
def test_only_a_numeric_length_declares_a_size(length: bytes, expected: bool) -> None:
    assert LIMITS.are_exceeded_by([(b"content-type", b"99"), (b"content-length", length)]) is expected
