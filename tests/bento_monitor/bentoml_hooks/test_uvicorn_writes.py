"""Answers in one write each: what uvicorn writes with ours around it, on a connection that a test plays."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from played_connection import Line, PlayedServer
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bento_monitor.bentoml_hooks import uvicorn_writes
from bento_monitor.bentoml_hooks.loop_steps import LoopSteps
from bento_monitor.bentoml_hooks.uvicorn_answers import write_answer
from bento_monitor.bentoml_hooks.uvicorn_writes import Turn, _joined
from bento_monitor.tracing.ledger import Ledger

REQUEST = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"
LAST_REQUEST = REQUEST.replace(b"host: h", b"host: h\r\nconnection: close")
HEADERS = [(b"content-length", b"2"), (b"content-type", b"text/plain")]


def start(length: int) -> dict[str, Any]:
    return {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % length)]}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def played(clock: Any, application: Any, data: bytes = REQUEST, protocol: Any = HttpToolsProtocol) -> Line:
    """What a connection to an application came to."""

    async def scenario() -> Line:
        line = Line(PlayedServer(_joined(protocol, Turn()), application))
        line.feed(data)
        await clock.advance(0)
        return line

    line: Line = clock.run(scenario())
    return line


@pytest.mark.parametrize("protocol", [HttpToolsProtocol, H11Protocol])
@pytest.mark.parametrize("size", [2, 100_000])
def test_a_head_and_its_body_are_written_at_once(clock: Any, protocol: Any, size: int) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(size))
        await send(body(b"x" * size))

    line = played(clock, application, protocol=protocol)
    assert len([each for each in line.writes if each]) == 1
    assert line.sent.endswith(b"\r\n\r\n" + b"x" * size)


def test_a_stream_s_head_and_parts_are_written_when_they_are_sent(clock: Any) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(4))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await send(body(b"ab", more=True))
        await send(body(b"cd"))

    head, *parts = played(clock, application).writes
    assert head.endswith(b"\r\n\r\n")
    assert parts == [b"ab", b"cd"]


def test_a_head_is_written_before_the_connection_is_closed(clock: Any) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(4))
        raise ValueError

    line = played(clock, application)
    assert (line.statuses, line.is_closed) == ([200], True)


class Answering:
    """An application that answers at once."""

    def __init__(self, headers: Sequence[tuple[bytes, bytes]] = HEADERS) -> None:
        self.headers = headers
        self.was_written: list[bool] = []

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        self.was_written.append(write_answer(receive, self.headers, b"ok", None))
        if not self.was_written[-1]:
            await send({"type": "http.response.start", "status": 200, "headers": self.headers})
            await send(body(b"ok"))


async def uvicorn_own(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send(body(b"ok"))


@pytest.mark.parametrize("data", [REQUEST, LAST_REQUEST, REQUEST * 3, REQUEST + LAST_REQUEST])
def test_a_whole_answer_is_what_uvicorn_writes(clock: Any, data: bytes) -> None:
    application = Answering()
    ours, stock = played(clock, application, data), played(clock, uvicorn_own, data)
    assert set(application.was_written) == {True}
    assert (ours.sent, ours.is_closed) == (stock.sent, stock.is_closed)


@pytest.mark.parametrize("header", [(b"connection", b"close"), (b"a", b"b\r\nc: d")])
def test_what_uvicorn_treats_in_another_way_is_left_to_it(clock: Any, header: tuple[bytes, bytes]) -> None:
    application = Answering([*HEADERS, header])
    line = played(clock, application)
    assert application.was_written == [False]
    assert (line.statuses, line.is_closed) == ([] if b"\r" in header[1] else [200], True)


def test_another_server_s_requests_are_left_to_it() -> None:
    async def receive() -> None: ...

    assert not write_answer(receive, HEADERS, b"ok", None)


@pytest.mark.parametrize(("apart_s", "written"), [(0.0001, [0, 0, 0, 3]), (0.01, [0, 1, 2, 3])])
def test_answers_are_held_for_the_turn_only_where_they_follow_closely(
    clock: Any, monkeypatch: pytest.MonkeyPatch, apart_s: float, written: list[int]
) -> None:
    """`written` has the answers on the wire before each of three that one turn brings, and at its end."""
    now_s = 0.0
    monkeypatch.setattr(uvicorn_writes.time, "monotonic", lambda: now_s)
    seen: list[int] = []
    held: list[bool] = []
    ledgers: list[Ledger] = []
    lines: list[Line] = []

    async def application(_scope: Any, receive: Any, _send: Any) -> None:
        nonlocal now_s
        seen.append(sum(len(line.writes) for line in lines))
        now_s += apart_s
        ledgers.append(Ledger(trace_id=1, parent_span_id=0, sampled=False, received_ns=1))
        write_answer(receive, HEADERS, b"ok", ledgers[-1])
        held.append(ledgers[-1].is_held)

    async def scenario() -> None:
        server = PlayedServer(_joined(HttpToolsProtocol, Turn()), application)
        for count in (1, 3):
            lines[:] = [Line(server) for _ in range(count)]
            seen.clear()
            for line in lines:
                line.feed(REQUEST)
            await clock.advance(0)
        seen.append(sum(len(line.writes) for line in lines))

    clock.run(scenario())
    assert seen == written
    assert held == [apart_s < 0.0005] * 4
    assert not any(ledger.is_held for ledger in ledgers)
    assert all(ledger.sent_ns for ledger in ledgers)


class Clock:
    """What is asked for the time; a step of a function that computes moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Computing:
    """Answers quick requests at once; each other one computes before and after it has waited."""

    def __init__(self, time_: Clock, turn: Turn, *, is_watched: bool) -> None:
        self.time, self.lines = time_, []
        self._steps = LoopSteps(turn.end) if is_watched else None
        self.was_on_the_wire: list[int] = []

    async def __call__(self, scope: Any, receive: Any, _send: Any) -> None:
        if scope["path"] == "/compute":
            function = self._compute()
            await (function if self._steps is None else self._steps.run(function))
        self.time.now_s += 0.0001
        write_answer(receive, HEADERS, b"ok", None)

    async def _compute(self) -> None:
        self._note()
        await asyncio.sleep(0)
        self._note()

    def _note(self) -> None:
        self.was_on_the_wire.append(sum(len(line.writes) for line in self.lines))
        self.time.now_s += 0.1


def answered(clock: Any, monkeypatch: pytest.MonkeyPatch, rounds: int, *, is_watched: bool) -> list[list[int]]:
    """Of rounds in each of which come a quick request, one that computes and a quick one: what was on the wire when it
    began to compute, and when it went on, less what earlier rounds had brought.
    """
    time_, turn = Clock(), Turn()
    monkeypatch.setattr(uvicorn_writes.time, "monotonic", time_)
    application = Computing(time_, turn, is_watched=is_watched)
    found = []

    async def scenario() -> None:
        server = PlayedServer(_joined(HttpToolsProtocol, turn), application)
        application.lines = [Line(server) for _ in range(4)]
        first, *lines = application.lines
        for _ in range(rounds):
            first.feed(REQUEST)  # so that the answers below follow closely
            await clock.advance(0)
            before = sum(len(line.writes) for line in application.lines)
            application.was_on_the_wire.clear()
            for line, path in zip(lines, (b"/x", b"/compute", b"/x"), strict=True):
                line.feed(REQUEST.replace(b"/x", path, 1))
            await clock.advance(0)
            found.append([count - before for count in application.was_on_the_wire])

    clock.run(scenario())
    return found


def test_what_is_ready_is_on_the_wire_before_a_function_computes(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered(clock, monkeypatch, 3, is_watched=True) == [[1, 2]] * 3


def test_code_that_is_not_seen_to_compute_keeps_an_answer_once(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = answered(clock, monkeypatch, 3, is_watched=False)
    assert first == [0, 2]
    assert others == [[1, 2]] * 2


def test_an_idle_service_s_answers_are_held_together_whoever_answered_last(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe's answer goes by uvicorn's own way: however long nothing came before it, nothing computed meanwhile."""
    time_ = Clock()
    monkeypatch.setattr(uvicorn_writes.time, "monotonic", time_)
    held: list[bool] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/readyz":
            await uvicorn_own(scope, receive, send)
            return
        time_.now_s += 0.0001
        ledger = Ledger(trace_id=1, parent_span_id=0, sampled=False, received_ns=1)
        write_answer(receive, HEADERS, b"ok", ledger)
        held.append(ledger.is_held)

    async def scenario() -> None:
        server = PlayedServer(_joined(HttpToolsProtocol, Turn()), application)
        probe, *lines = [Line(server) for _ in range(4)]
        for _ in range(3):
            time_.now_s += 7
            probe.feed(REQUEST.replace(b"/x", b"/readyz", 1))
            await clock.advance(0)
        for line in (probe, *lines):
            line.feed(REQUEST.replace(b"/x", b"/readyz", 1) if line is probe else REQUEST)
        await clock.advance(0)

    clock.run(scenario())
    assert held == [True] * 3


def test_functions_that_are_quick_have_their_answers_held_together(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    time_ = Clock()
    monkeypatch.setattr(uvicorn_writes.time, "monotonic", time_)
    flushed = []
    steps = LoopSteps(lambda: flushed.append(time_.now_s))

    async def function(seconds: float) -> str:
        time_.now_s += seconds
        return "done"

    async def calls(count: int, seconds: float) -> int:
        flushed.clear()
        for _ in range(count):
            assert await steps.run(function(seconds)) == "done"
        return len(flushed)

    async def scenario() -> list[int]:
        found = [await calls(900, 0.0001), await calls(16, 0.005), await calls(400, 0.0001), await calls(16, 0.05)]
        found.append(await calls(50, 0.0001))
        time_.now_s += 20
        found += [await calls(900, 0.0001), await calls(160, 0.005)]
        return found

    # Until enough were quick. Sixteen that the kernel has made long, of which one is looked at, change nothing. The
    # first of those that compute is looked at, and for 10 s each other may. Then the first that is seen to be quick
    # again, and of those that are long in a row all behind the third that is looked at.
    assert clock.run(scenario()) == [21, 0, 0, 15, 50, 1, 115]


def test_a_function_in_steps_is_awaited_as_any(clock: Any) -> None:
    steps = LoopSteps(lambda: None)

    async def catches() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "was cancelled"
        return "was not"

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("its own")

    async def outer(function: Any) -> Any:
        return await steps.run(function)

    async def scenario() -> list[Any]:
        cancelled = asyncio.ensure_future(outer(catches()))
        await asyncio.sleep(0)
        cancelled.cancel()
        failed = asyncio.ensure_future(outer(fails()))
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(7)
        return [*await asyncio.gather(cancelled, failed, return_exceptions=True), await steps.run(future)]

    found = clock.run(scenario())
    assert found[0] == "was cancelled"
    assert repr(found[1]) == "ValueError('its own')"
    assert found[2] == 7
