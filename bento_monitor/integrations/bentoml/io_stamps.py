"""Stamps of parsing and serialising, put around the input and output descriptors of an API."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any

from ...tracing.ledger.ledger import Ledger, current_ledger
from ...tracing.privacy.captured import InputCapture

_STAMPED = "__bento_monitor_unstamped__"


def stamp_descriptors(method: Any, capture: InputCapture | None = None) -> None:
    """Make an `APIMethod` stamp the current ledger before and after its input is read and its output is written.

    A body is read here by what parses it, so its `read_ns` is when that began. `capture` is shown each
    input.
    """
    if _STAMPED not in vars(method.input_spec.from_http_request.__func__):
        _stamp_input(method.input_spec, capture)
    if _STAMPED not in vars(method.output_spec.to_http_response.__func__):
        _stamp_output(method.output_spec)


def unstamped(spec: Any, name: str) -> Any:
    """The function of a descriptor's class method, without our stamps around it."""
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
        # A stream's items are still to be computed: nothing of it is serialised here.
        if inspect.isasyncgen(obj):
            return await serialize(_noted(obj, ledger), serde)
        if inspect.isgenerator(obj):
            return await serialize(_noted_in_thread(obj, ledger), serde)
        ledger.serialize_started_ns = time.monotonic_ns()
        response = await serialize(obj, serde)
        ledger.serialized_ns = time.monotonic_ns()
        return response

    setattr(to_http_response, _STAMPED, serialize.__func__)
    spec.to_http_response = classmethod(to_http_response)


async def _noted(stream: Any, ledger: Ledger) -> AsyncGenerator[Any, None]:
    """The same stream. One that breaks after its first item ends for BentoML, with a line in the log."""
    try:
        async for item in stream:
            yield item
    except Exception as error:
        ledger.error_type = type(error).__qualname__
        raise


def _noted_in_thread(stream: Any, ledger: Ledger) -> Generator[Any, None, None]:
    try:
        yield from stream
    except Exception as error:
        ledger.error_type = type(error).__qualname__
        raise
