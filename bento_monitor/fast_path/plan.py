"""The plan of an API: how to parse a body to arguments, call the function, and render its output to bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The output of an API as bytes, with the two headers that describe them, in the order of sending."""

    body: bytes
    content_length: tuple[bytes, bytes]
    content_type: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """One API on the fast path; created once per worker, when the service is up.

    Args:
        api: name of the API.
        parse: converts the request's body to arguments; raises the same errors as BentoML's parsing.
        call: calls the user's function with arguments, on the event loop, in a thread or in a batch.
        render: converts the output of the function to an `Answer`; returns None if BentoML's own code must do it.
        render_otherwise: BentoML's own code, which returns a Starlette response.
        context_parameter: name of the parameter that gets the service's context.
        scope: the keys that BentoML's routing adds to an ASGI scope of this API.
    """

    api: str
    parse: Callable[[bytes], Arguments]
    call: Callable[[tuple[Any, ...], dict[str, Any]], Awaitable[Any]]
    render: Callable[[Any], Answer | None]
    render_otherwise: Callable[[Any], Awaitable[Any]]
    context_parameter: str | None
    scope: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PathChoice:
    """The path of an API: its plan if it takes the fast path, else the reason why not."""

    api: str
    route: str
    plan: Plan | None
    reason: str
