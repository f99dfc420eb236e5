"""Stamps of parsing and serialising, put around the input and output descriptors of an API."""

from __future__ import annotations

import inspect
import time
from typing import Any

from ..tracing.ledger import current_ledger

_MARK = "__bento_monitor_stamped__"


def stamp_descriptors(method: Any) -> None:
    """Make an `APIMethod` stamp `parsed_ns`, `serialize_started_ns` and `serialized_ns` on the current ledger."""
    if _MARK not in vars(method.input_spec):
        _stamp_input(method.input_spec)
    if _MARK not in vars(method.output_spec):
        _stamp_output(method.output_spec)


def _stamp_input(spec: Any) -> None:
    parse = spec.from_http_request

    async def from_http_request(_cls: Any, request: Any, serde: Any) -> Any:
        parsed = await parse(request, serde)
        ledger = current_ledger.get()
        if ledger is not None:
            ledger.parsed_ns = time.monotonic_ns()
        return parsed

    spec.from_http_request = classmethod(from_http_request)
    setattr(spec, _MARK, True)


def _stamp_output(spec: Any) -> None:
    serialize = spec.to_http_response

    async def to_http_response(_cls: Any, obj: Any, serde: Any) -> Any:
        ledger = current_ledger.get()
        # A stream's items are still to be computed: nothing of it is serialised here.
        if ledger is None or inspect.isasyncgen(obj) or inspect.isgenerator(obj):
            return await serialize(obj, serde)
        ledger.serialize_started_ns = time.monotonic_ns()
        response = await serialize(obj, serde)
        ledger.serialized_ns = time.monotonic_ns()
        return response

    spec.to_http_response = classmethod(to_http_response)
    setattr(spec, _MARK, True)
