"""Which attributes may leave the process: those on the allow-list, and captured input fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import SpanKind

from ...conventions import ALLOWED_ATTRIBUTES, CAPTURED_PREFIX

AttributeValue = str | int | float | bool

_INT_BOUND = 2**63  # OTLP's integers are at least -2**63 and below 2**63
_MAX_BITS = 2_048  # converted in a tenth of a millisecond; far below Python's limit for the conversion
LONGEST_ATTRIBUTE = 16_384
"""Maximum characters of a text attribute of user code: collectors reject an export of more than 4 MiB entirely."""


def allowed_attributes(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    """Return the attributes that may leave the process and have a value."""
    return {
        name: value
        for name, value in attributes.items()
        if value is not None and (name in ALLOWED_ATTRIBUTES or name.startswith(CAPTURED_PREFIX))
    }


# Attributes with contents of requests that instrumentation libraries set, for calls made and calls served.
_CONTENT_ATTRIBUTES = frozenset(
    {
        "url.full",
        "url.query",
        "url.path",
        "http.url",
        "http.target",
        "http.user_agent",
        "user_agent.original",
        "client.address",
        "http.client_ip",
        "db.statement",
        "db.query.text",
        "exception.message",
        "exception.stacktrace",
    }
)
_CONTENT_PREFIXES = (
    "http.request.header.",
    "http.response.header.",
    "gen_ai.input.",
    "gen_ai.output.",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.system_instructions",
)
# Scopes of automatic spans: OpenTelemetry's instrumentation libraries, and frameworks with their own tracing.
_INSTRUMENTATIONS = ("opentelemetry.instrumentation.", "opentelemetry_instrumentation_")
_FRAMEWORKS = frozenset({"fastapi", "starlette"})
_FRAMEWORK_ATTRIBUTES = ALLOWED_ATTRIBUTES | {
    "asgi.event.type",
    "code.function.name",
    "http.flavor",
    "http.method",
    "http.scheme",
    "http.status_code",
    "network.protocol.name",
    "network.protocol.version",
}


def user_attributes(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Return the attributes of user code, without the contents that instrumentation libraries add."""
    return {
        exportable_text(name): _exportable(value)
        for name, value in attributes.items()
        if name not in _CONTENT_ATTRIBUTES and not name.startswith(_CONTENT_PREFIXES)
    }


def is_of_framework(scope: str, kind: SpanKind) -> bool:
    """Return whether a span of a served request was created automatically, judging by its scope."""
    is_call = kind in (SpanKind.CLIENT, SpanKind.PRODUCER)
    return not is_call and (scope.startswith(_INSTRUMENTATIONS) or scope in _FRAMEWORKS)


def framework_attributes(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Return the attributes of a framework's span that may leave the process."""
    return {name: _exportable(value) for name, value in attributes.items() if name in _FRAMEWORK_ATTRIBUTES}


def framework_name(name: str, route: Any) -> str:
    """Return a framework's span name without the client's path; the route template is kept."""
    return " ".join(word for word in name.split(" ") if not word.startswith("/") or word == route)


def exportable_text(text: str) -> str:
    """Return the text with unpaired surrogates replaced: one of them would lose the whole export."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def fits_otlp(value: int) -> bool:
    """Return whether OTLP can represent an integer."""
    return -_INT_BOUND <= value < _INT_BOUND


def integer_text(value: int) -> str:
    """Return the digits of an integer, or its number of bits if it has more than 2,048."""
    return str(value) if value.bit_length() <= _MAX_BITS else f"<an integer of {value.bit_length():,} bits>"


def not_shown(error: Exception) -> str:
    """Return the text that replaces a value that cannot be written."""
    return f"<not shown: {type(error).__name__}>"


def _exportable(value: Any) -> AttributeValue:
    try:
        if isinstance(value, str):
            return exportable_text(value)
        if isinstance(value, int):
            return value if fits_otlp(value) else integer_text(value)
        return value if isinstance(value, float) else json.dumps(value, default=str)[:LONGEST_ATTRIBUTE]
    except Exception as error:  # one value must not lose its span and the whole export
        return not_shown(error)
