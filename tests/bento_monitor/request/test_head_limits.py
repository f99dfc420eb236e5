"""The size of a request head: the bytes that count."""

import pytest

from bento_monitor.request.limits import HeadLimits

LIMITS = HeadLimits(max_count=2, max_bytes=10, timeout_s=30.0, max_waiting=3)


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        (b"/xyz", [(b"a", b"12"), (b"b", b"34")], True),
        (b"/xyzz", [(b"a", b"12"), (b"b", b"34")], False),
        (b"/", [(b"a", b"")] * 3, False),
    ],
)
def test_head_size_counts_url_names_and_values(url: bytes, headers: list[tuple[bytes, bytes]], expected: bool) -> None:
    assert LIMITS.hold_for(url, headers) is expected
