"""Requests answered in this process: parsed and serialized as in a worker, but without a server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic
from _bentoml_impl.serde import ALL_SERDE, JSONSerde
from _bentoml_sdk.io_models import ARGS, KWARGS, IORootModel
from bentoml._internal.runner.container import AutoContainer
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from ...errors import ServiceError
from .batch_context import count_rows
from .import_errors import error_text
from .services import ApiArguments, ServiceApi

_SHOWN_BYTES = 80
_FILE_NAME = re.compile(rb'filename="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """The body of a response, and its media type without parameters."""

    body: bytes
    media_type: str


def request_without_client(content_type: str = "application/json", body: bytes = b"") -> Request:
    """Return a request that did not arrive over a socket."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-type", content_type.encode("latin-1")), (b"content-length", b"%d" % len(body))],
    }
    return Request(scope, receive)


def parse_requests(api: ServiceApi, bodies: Iterable[bytes], content_type: str) -> list[ApiArguments]:
    """Parse each body into the arguments of the API's function.

    Raises:
        ServiceError: BentoML refuses a body.
    """

    async def parse_all() -> list[ApiArguments]:
        return [await _parse(api, body, content_type) for body in bodies]

    return asyncio.run(parse_all())


def join_calls(api: ServiceApi, calls: Sequence[ApiArguments]) -> tuple[ApiArguments, list[int]]:
    """Join calls into one call, as in a batch, and return it with the row offsets of its parts, the first being 0.

    Raises:
        ServiceError: the values cannot be joined, such as arrays of different lengths.
    """
    values = [_only_value(call) for call in calls]
    try:
        batch, ends = AutoContainer.batches_to_batch(values, api.method.batch_dim[0])
    except Exception as error:
        raise ServiceError(
            f"The API {api.name} is batchable, but its requests cannot be put into one batch: {error}. Requests of "
            "other shapes need an API that is not batchable, or padding in the client."
        ) from error
    first = calls[0]
    if first.args:
        return ApiArguments((batch,), first.kwargs), list(ends)
    return ApiArguments((), dict.fromkeys(first.kwargs, batch)), list(ends)


def serialize_answers(api: ServiceApi, output: Any, ends: Sequence[int] | None) -> list[RawAnswer]:
    """Return what clients get for an output of the API's function: one answer for each part of a batch, else one.

    Raises:
        ServiceError: the output does not match the API's declaration, or is a stream.
    """

    async def write_all() -> list[RawAnswer]:
        return [await _write(api, part) for part in parts]

    parts = [output] if ends is None else _split(api, output, ends)
    return asyncio.run(write_all())


async def _parse(api: ServiceApi, body: bytes, content_type: str) -> ApiArguments:
    serde = ALL_SERDE.get(content_type.partition(";")[0].strip(), JSONSerde)()
    spec = api.method.input_spec
    try:
        parsed = await spec.from_http_request(request_without_client(content_type, body), serde)
    except pydantic.ValidationError as error:
        raise ServiceError(
            f"The API {api.name} refuses the request {_excerpt(body, content_type)}: {_first_problem(error)}."
        ) from error
    except Exception as error:
        raise ServiceError(
            f"The API {api.name} refuses the request {_excerpt(body, content_type)}: {error_text(error)}."
        ) from error
    if getattr(spec, "__root_input__", False):
        return ApiArguments((parsed.root if isinstance(parsed, IORootModel) else parsed,), {})
    named = {name: getattr(parsed, name) for name in type(parsed).model_fields}
    args = (named.pop(ARGS),) if ARGS in named else ()  # as BentoML's own endpoint does it
    named.update(named.pop(KWARGS, {}))
    return ApiArguments(args, named)


def _only_value(call: ApiArguments) -> Any:
    (value,) = (*call.args, *call.kwargs.values())
    return value


def _split(api: ServiceApi, output: Any, ends: Sequence[int]) -> Sequence[Any]:
    try:
        parts: Sequence[Any] = AutoContainer.batch_to_batches(output, list(ends), api.method.batch_dim[1])
        rows = sum(count_rows(part, api.method.batch_dim[1]) for part in parts)
    except Exception as error:
        raise ServiceError(
            f"The API {api.name} is batchable, but its answer for a batch, a {type(output).__name__}, cannot be split: "
            f"{error}."
        ) from error
    if len(parts) != len(ends) - 1 or rows != ends[-1]:
        raise ServiceError(f"The API {api.name} returned {rows} answers for {ends[-1]} samples: return one for each.")
    return parts


async def _write(api: ServiceApi, output: Any) -> RawAnswer:
    try:
        response = (
            output
            if isinstance(output, Response)
            else await api.method.output_spec.to_http_response(output, JSONSerde())
        )
    except Exception as error:
        raise ServiceError(
            f"The API {api.name} returned a {type(output).__name__}, which cannot be serialized: {error}."
        ) from error
    if isinstance(response, StreamingResponse):
        raise ServiceError(f"The API {api.name} answers with a stream: only whole answers can be measured.")
    media_type = (response.media_type or "application/json").partition(";")[0].strip()
    if isinstance(response, FileResponse):
        with open(response.path, "rb") as file:  # noqa: ASYNC230, PTH123 - nothing else runs on this loop
            return RawAnswer(file.read(), media_type)
    chunks = getattr(response, "body_iterator", None)
    return RawAnswer(bytes(response.body) if chunks is None else b"".join(map(bytes, chunks)), media_type)


def _first_problem(error: pydantic.ValidationError) -> str:
    """Return the first validation error in a few words, without the value, which may be long."""
    first = error.errors(include_context=False, include_input=False, include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    more = error.error_count() - 1
    return f"{where or 'the body'}: {first['msg']}" + (f" (and {more} more)" if more else "")


def _excerpt(body: bytes, content_type: str) -> str:
    """Return the beginning of a body; for a form, the names of its files."""
    if content_type.startswith("multipart/"):
        names = ", ".join(name.decode(errors="replace") for name in _FILE_NAME.findall(body))
        return f"with the file {names}"[:_SHOWN_BYTES] if names else "with form data"
    text = body[:_SHOWN_BYTES].decode(errors="replace")
    return text if len(body) <= _SHOWN_BYTES else f"{text}..."
