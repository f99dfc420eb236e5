"""The read stamp: the time of the read that a request's first bytes came with."""

from typing import Any

from bento_monitor.bentoml_hooks.uvicorn_protocol import _stamped
from bento_monitor.fast_path.loop_lag import LoopLag
from bento_monitor.fast_path.scope_keys import LOOP_LAG, READ_STAMP


class LineProtocol:
    """Takes each line for a request, as uvicorn's protocol takes each HTTP message."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.is_inside = False

    def data_received(self, data: bytes) -> None:
        for byte in data:
            if not self.is_inside:
                self.on_message_begin()
            self.is_inside = byte != ord("\n")

    def on_message_begin(self) -> None:
        self.scope: dict[str, Any] = {}
        self.scopes.append(self.scope)


def test_a_request_that_comes_in_pieces_has_the_time_of_the_first() -> None:
    protocol = _stamped(LineProtocol, LoopLag())()
    protocol.data_received(b"fir")
    first_ns = protocol.last_read_ns
    protocol.data_received(b"st\nsecond\nthi")
    second_ns = protocol.last_read_ns
    assert [scope[READ_STAMP] for scope in protocol.scopes] == [first_ns, second_ns, second_ns]
    assert 0 < first_ns <= second_ns
    assert all(scope[LOOP_LAG] == 0 for scope in protocol.scopes)
