"""Limits of heads: what is counted, and how little a flood writes."""

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
def test_a_head_is_its_url_and_its_names_and_values(
    url: bytes, headers: list[tuple[bytes, bytes]], expected: bool
) -> None:
    assert LIMITS.hold_for(url, headers) is expected
