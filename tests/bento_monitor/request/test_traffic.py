"""Traffic: how requests are counted and logged, however they end."""

import asyncio
import gc
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bento_monitor.request.access_log import AccessLog, AccessLogRules
from bento_monitor.request.exchange import Exchange
from bento_monitor.request.exchange_records import ExchangeRecords
from bento_monitor.request.traffic import Traffic, TrafficLimits

ALL = AccessLogRules(True, True, True, True, ("/livez",))


class Kept:
    """A writer that keeps its exchanges."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.in_progress: Mapping[str, int] = {}

    def note(self, exchange: Exchange) -> None:
        assert exchange.ended_s

    def write(self, exchanges: Sequence[Exchange]) -> None:
        self.exchanges += exchanges

    def start(self) -> None: ...

    def show_in_progress(self, counts: Mapping[str, int]) -> None:
        self.in_progress = counts


def scope(path: str = "/x") -> dict[str, Any]:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"8")]
    return {"type": "http", "method": "POST", "path": path, "scheme": "http", "headers": headers, "client": ("c", 1)}


async def answer(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def sleep_long(_scope: Any, _receive: Any, _send: Any) -> None:
    await asyncio.sleep(60)


async def fail(_scope: Any, _receive: Any, _send: Any) -> None:
    raise RuntimeError("not answered")


def make(kept: Kept, timeout_s: float | None = None, max_concurrency: int | None = None) -> Traffic:
    limits = TrafficLimits(timeout_s, max_concurrency, frozenset({"/livez"}))
    return Traffic(limits, ExchangeRecords(kept, None), lambda path: path if path == "/x" else "unmatched")


async def serve(traffic: Traffic, application: Any, path: str = "/x") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await traffic.run(application, scope(path), None, send)  # type: ignore[arg-type]
    return sent


def test_answer_is_recorded_with_its_route_template_instead_of_its_path() -> None:
    kept = Kept()
    traffic = make(kept)

    async def scenario() -> None:
        for number in range(50):
            await serve(traffic, answer, f"/scanned/{number}")
        await serve(traffic, answer)

    asyncio.run(scenario())
    traffic._records.flush()
    assert {exchange.endpoint for exchange in kept.exchanges} == {"/x", "unmatched"}
    assert [exchange.status for exchange in kept.exchanges] == [201] * 51
    assert kept.in_progress == {"/x": 0, "unmatched": 0}


def test_request_over_its_time_is_answered_504_and_cancelled() -> None:
    kept = Kept()
    sent = asyncio.run(serve(make(kept, timeout_s=0.05), sleep_long))
    assert sent[0]["status"] == 504
    assert sent[1]["body"] == b'{"error":"Not able to process the request in 0.05 seconds"}'


def test_504_does_not_wait_for_work_that_cannot_be_cancelled() -> None:
    async def scenario() -> list[str]:
        seen: list[str] = []

        async def stubborn(_scope: Any, _receive: Any, send: Any) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0.05)
                seen.append("the work ends")
                await send({"type": "http.response.start", "status": 200, "headers": []})

        async def send(message: Any) -> None:
            seen.append(str(message.get("status", "body")))

        await make(Kept(), timeout_s=0.05).run(stubborn, scope(), None, send)  # type: ignore[arg-type]
        return seen

    assert asyncio.run(scenario()) == ["504", "body", "the work ends"]


def test_request_over_the_concurrency_is_answered_429_except_on_unlimited_paths() -> None:
    async def scenario() -> list[int]:
        traffic = make(Kept(), max_concurrency=1)
        first = asyncio.create_task(serve(traffic, sleep_long))
        await asyncio.sleep(0)
        statuses = [(await serve(traffic, answer, path))[0]["status"] for path in ("/x", "/livez")]
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        statuses.append((await serve(traffic, answer))[0]["status"])
        return statuses

    assert asyncio.run(scenario()) == [429, 201, 201]


def test_error_before_an_answer_is_raised_and_leaves_no_record() -> None:
    kept = Kept()
    traffic = make(kept, timeout_s=5)
    with pytest.raises(RuntimeError, match="not answered"):
        asyncio.run(serve(traffic, fail))
    traffic._records.flush()
    assert kept.exchanges == []
    assert kept.in_progress == {"/x": 0}


def test_written_exchange_leaves_no_reference_cycle() -> None:
    async def scenario() -> int:
        traffic = make(Kept(), timeout_s=5)
        await serve(traffic, answer)
        traffic._records._writers[0][0].exchanges.clear()  # type: ignore[attr-defined]
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await serve(traffic, answer)
            traffic._records.flush()
            traffic._records._writers[0][0].exchanges.clear()  # type: ignore[attr-defined]
            return gc.collect()
        finally:
            gc.enable()

    assert asyncio.run(scenario()) < 20


def test_failing_writer_stops_neither_the_others_nor_the_request(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Kept):
        def write(self, exchanges: Sequence[Exchange]) -> None:
            raise RuntimeError("a bug of ours")

    kept = Kept()
    records = ExchangeRecords(Failing(), kept)
    traffic = Traffic(TrafficLimits(None, None, frozenset()), records, str)
    for _ in range(8):
        asyncio.run(serve(traffic, answer))
        records.flush()
    assert len(kept.exchanges) == 8
    assert "switched off" in caplog.text


def test_access_log_line_is_written_like_bentomls(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    traffic = make(kept)

    async def scenario() -> None:
        await serve(traffic, answer)
        await serve(traffic, answer, "/livez")

    asyncio.run(scenario())
    traffic._records.flush()
    for exchange in kept.exchanges:
        exchange.begun_s, exchange.ended_s = 1.0, 1.0125
    with caplog.at_level(logging.INFO, "bentoml.access"):
        AccessLog(ALL).write(kept.exchanges)
    (line,) = [record.getMessage() for record in caplog.records]
    request = "scheme=http,method=POST,path=/x,type=application/json,length=8"
    assert line == f"c:1 ({request}) (status=201,type=text/plain,length=2) 12.500ms"
