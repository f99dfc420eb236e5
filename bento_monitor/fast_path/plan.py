"""The plan of an API: how its body becomes arguments, how it is called, and how what it returns becomes bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an API returned, as bytes and the two headers that describe them, in the order in which they are sent."""

    body: bytes
    content_length: tuple[bytes, bytes]
    content_type: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """One API on the fast path; made once a worker, when its service is up.

    Args:
        api: name of the API.
        parse: the request's body to the arguments of the function; raises what BentoML's parsing raises.
        call: calls the user's function on arguments, on the loop, in a thread or in a batch.
        render: what the function returned to an `Answer`; None where BentoML's own code must write it.
        render_otherwise: BentoML's own code, which gives a response of Starlette's.
        context_parameter: name of the parameter that is given the service's context.
        scope: what BentoML's routing adds to an ASGI scope of this API.
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
    """Which path an API takes, and why not the fast one where it does not."""

    api: str
    route: str
    plan: Plan | None
    reason: str
