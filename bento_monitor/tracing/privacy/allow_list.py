"""What may leave the process: the attributes on the allow-list, fields that were asked for, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import SpanKind

from ...conventions import ALLOWED_ATTRIBUTES, CAPTURED_PREFIX

AttributeValue = str | int | float | bool

_INT_BOUND = 2**63  # OTLP's whole numbers are below it, and not below its negative
_MOST_BITS = 2_048  # a tenth of a millisecond, and far below what Python refuses
LONGEST_ATTRIBUTE = 16_384
"""Characters of a text that user code puts on a span: collectors refuse an export of more than 4 MiB, whole."""


def allowed_attributes(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    """The attributes that may leave the process and have a value."""
    return {
        name: value
        for name, value in attributes.items()
        if value is not None and (name in ALLOWED_ATTRIBUTES or name.startswith(CAPTURED_PREFIX))
    }


# What instrumentations of libraries set of contents by themselves, of a call that is made as of one that is served.
_OF_CONTENT = frozenset(
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
_OF_CONTENT_PREFIXES = (
    "http.request.header.",
    "http.response.header.",
    "gen_ai.input.",
    "gen_ai.output.",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.system_instructions",
)
# What makes spans without the author's doing: OpenTelemetry's instrumentations, and frameworks with one of their own.
_INSTRUMENTATIONS = ("opentelemetry.instrumentation.", "opentelemetry_instrumentation_")
_FRAMEWORKS = frozenset({"fastapi", "starlette"})
_OF_FRAMEWORKS = ALLOWED_ATTRIBUTES | {
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
    """The attributes that user code has set, less what instrumentations of libraries set of contents by themselves."""
    return {
        exportable_text(name): _exportable(value)
        for name, value in attributes.items()
        if name not in _OF_CONTENT and not name.startswith(_OF_CONTENT_PREFIXES)
    }


def is_of_framework(scope: str, kind: SpanKind) -> bool:
    """Whether a span tells, without the author's doing, of what is served: by the scope that made it."""
    is_call = kind in (SpanKind.CLIENT, SpanKind.PRODUCER)
    return not is_call and (scope.startswith(_INSTRUMENTATIONS) or scope in _FRAMEWORKS)


def framework_attributes(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """What may leave the process of what a framework says of a request by itself."""
    return {name: _exportable(value) for name, value in attributes.items() if name in _OF_FRAMEWORKS}


def framework_name(name: str, route: Any) -> str:
    """The name of a framework's span without the path that the client has sent; its route's template may stay."""
    return " ".join(word for word in name.split(" ") if not word.startswith("/") or word == route)


def exportable_text(text: str) -> str:
    """The text, but for halves of surrogate pairs: one would lose every span that is sent with it."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def fits_otlp(value: int) -> bool:
    """Whether a whole number can be sent as one."""
    return -_INT_BOUND <= value < _INT_BOUND


def integer_text(value: int) -> str:
    """The digits of a whole number; how many bits it has, where Python would not write them all."""
    return str(value) if value.bit_length() <= _MOST_BITS else f"<an integer of {value.bit_length():,} bits>"


def not_shown(error: Exception) -> str:
    """What stands in the place of a value that cannot be written."""
    return f"<not shown: {type(error).__name__}>"


def _exportable(value: Any) -> AttributeValue:
    try:
        if isinstance(value, str):
            return exportable_text(value)
        if isinstance(value, int):
            return value if fits_otlp(value) else integer_text(value)
        return value if isinstance(value, float) else json.dumps(value, default=str)[:LONGEST_ATTRIBUTE]
    except Exception as error:  # a value among others: its span, and those with it, are not to be lost
        return not_shown(error)
