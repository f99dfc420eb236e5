"""Timestamps of parsing and serializing, added around the input and output descriptors of an API."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any

from ...tracing.ledger.ledger import Ledger, current_ledger
from ...tracing.privacy.captured import InputCapture

_STAMPED = "__bento_monitor_unstamped__"


def stamp_descriptors(method: Any, capture: InputCapture | None = None) -> None:
    """Make an `APIMethod` stamp the current ledger before and after its input is parsed and its output is serialized.

    The parser itself reads the body, so `read_ns` is when parsing began. `capture` gets each input.
    """
    if _STAMPED not in vars(method.input_spec.from_http_request.__func__):
        _stamp_input(method.input_spec, capture)
    if _STAMPED not in vars(method.output_spec.to_http_response.__func__):
        _stamp_output(method.output_spec)


def unstamped(spec: Any, name: str) -> Any:
    """Return the function of a descriptor's class method, without our stamps around it."""
    function = getattr(spec, name).__func__
    return getattr(function, _STAMPED, function)


def _stamp_input(spec: Any, capture: InputCapture | None) -> None:
    parse = spec.from_http_request

    async def from_http_request(_cls: Any, request: Any, serde: Any) -> Any:
        ledger = current_ledger.get()
        if ledger is None:
            return await parse(request, serde)
        ledger.read_ns = time.monotonic_ns()
        parsed = await parse(request, serde)
        if capture is not None:
            capture.note(parsed)
        ledger.parsed_ns = time.monotonic_ns()
        return parsed

    setattr(from_http_request, _STAMPED, parse.__func__)
    spec.from_http_request = classmethod(from_http_request)


def _stamp_output(spec: Any) -> None:
    serialize = spec.to_http_response

    async def to_http_response(_cls: Any, obj: Any, serde: Any) -> Any:
        ledger = current_ledger.get()
        if ledger is None:
            return await serialize(obj, serde)
        # The items of a stream are not computed yet, so nothing is serialized here.
        if inspect.isasyncgen(obj):
            return await serialize(_noting_error(obj, ledger), serde)
        if inspect.isgenerator(obj):
            return await serialize(_noting_error_in_thread(obj, ledger), serde)
        ledger.serialize_started_ns = time.monotonic_ns()
        response = await serialize(obj, serde)
        ledger.serialized_ns = time.monotonic_ns()
        return response

    setattr(to_http_response, _STAMPED, serialize.__func__)
    spec.to_http_response = classmethod(to_http_response)


async def _noting_error(stream: Any, ledger: Ledger) -> AsyncGenerator[Any, None]:
    """Yield the items of a stream and note its error: BentoML only logs an error after the first item."""
    try:
        async for item in stream:
            yield item
    except Exception as error:
        ledger.error_type = type(error).__qualname__
        raise


def _noting_error_in_thread(stream: Any, ledger: Ledger) -> Generator[Any, None, None]:
    try:
        yield from stream
    except Exception as error:
        ledger.error_type = type(error).__qualname__
        raise
