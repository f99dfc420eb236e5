"""The W3C `tracestate` header: other vendors' entries, passed on as they came, within a ledger's bound."""

from __future__ import annotations

import re

from opentelemetry.trace import TraceState

_MAX_CHARS = 512
_MAX_ENTRIES = 32
# Of more, no entry would fit: it is a flood.
_READ_CHARS = 2048
_KEY = r"(?:[a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_ENTRY = re.compile(f"({_KEY})={_VALUE}")


def clean_trace_state(text: str) -> str | None:
    """The entries that fit into 512 characters, the first ones first; None if there are none or one is malformed.

    What the SDK would refuse is refused here, without its log line: the text is the client's.
    """
    kept: list[str] = []
    seen: set[str] = set()
    length = -1
    if len(text) > _READ_CHARS:
        text = text[:_READ_CHARS].rpartition(",")[0]
    for part in text.split(","):
        entry = part.strip(" \t")
        if not entry:
            continue
        match = _ENTRY.fullmatch(entry)
        if match is None or (key := match[1]) in seen:
            return None
        seen.add(key)
        length += len(entry) + 1
        if length > _MAX_CHARS or len(kept) == _MAX_ENTRIES:
            break
        kept.append(entry)
    return ",".join(kept) or None


def parse_trace_state(text: str | None) -> TraceState | None:
    """Cleaned text as the SDK's record."""
    return TraceState.from_header([text]) if text else None
