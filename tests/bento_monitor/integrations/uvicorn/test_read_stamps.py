"""The read stamps: the times of the read that brought a request's first bytes."""

import asyncio
import socket
import time
from typing import Any

from bento_monitor.asgi import READ_STAMPS
from bento_monitor.integrations.uvicorn.read_stamps import _stamped
from bento_monitor.request.loop_lag import LoopLag
from bento_monitor.request.socket_readiness import Arrivals


class LineProtocol:
    """A protocol in which each line is a request, like each HTTP message in uvicorn's."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.is_inside = False

    def connection_made(self, transport: Any) -> None:
        pass

    def connection_lost(self, exc: Exception | None) -> None:
        pass

    def data_received(self, data: bytes) -> None:
        for byte in data:
            if not self.is_inside:
                self.on_message_begin()
            self.is_inside = byte != ord("\n")

    def on_message_begin(self) -> None:
        self.scope: dict[str, Any] = {}
        self.scopes.append(self.scope)


def test_request_in_pieces_has_the_times_of_the_first_piece() -> None:
    protocol = _stamped(LineProtocol, LoopLag(), Arrivals())()
    protocol.data_received(b"fir")
    first = protocol.last_read_stamps
    protocol.data_received(b"st\nsecond\nthi")
    second = protocol.last_read_stamps
    assert [scope[READ_STAMPS] for scope in protocol.scopes] == [first, second, second]
    assert all(ready_ns == read_ns and lag_ns == 0 for ready_ns, read_ns, lag_ns in (first, second))
    assert 0 < first[1] <= second[1]


def test_bytes_that_arrive_while_the_loop_is_busy_have_a_wait() -> None:
    arrivals, made = Arrivals(), []

    def make() -> Any:
        made.append(_stamped(LineProtocol, LoopLag(), arrivals)())
        return made[-1]

    async def serve() -> int:
        loop = asyncio.get_running_loop()
        ours, theirs = zip(socket.socketpair(), socket.socketpair(), strict=True)
        for end in ours:
            await loop.connect_accepted_socket(make, end)
        theirs[0].sendall(b"first\n")
        looked_ns = time.monotonic_ns()
        arrivals.look(looked_ns)
        time.sleep(0.01)  # noqa: ASYNC251 - the loop is busy
        theirs[1].sendall(b"second\n")  # arrivals.look() is not called before the read
        await asyncio.sleep(0.05)
        for end in theirs:
            end.close()
        await asyncio.sleep(0.05)
        return looked_ns

    looked_ns = asyncio.run(serve())
    (first,), (second,) = made[0].scopes, made[1].scopes
    ready_ns, read_ns, _ = first[READ_STAMPS]
    assert ready_ns == looked_ns
    assert read_ns - ready_ns >= 10_000_000
    ready_ns, read_ns, _ = second[READ_STAMPS]
    assert ready_ns == read_ns
    assert arrivals.watched == 0
