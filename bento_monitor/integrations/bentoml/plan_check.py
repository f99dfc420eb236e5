"""Checking that a plan reads and writes as BentoML does, on values made from the API's schemas; no API is called."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from _bentoml_impl.serde import JSONSerde
from _bentoml_sdk.io_models import ARGS, KWARGS, IOMixin, IORootModel
from starlette.requests import Request

from ...fast_path.plan import Plan

_WRONG_BODIES = (b"", b"{}", b"null", b"[]", b"1", b'"x"', b"{", b'{"x": NaN}', b"[1, 2.5, true]")
_MAX_DEPTH = 6
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


async def find_difference(plan: Plan, method: Any, context: Any) -> str | None:
    """Return what a plan does differently from BentoML; None if no difference was found."""
    for body in (*_bodies(method.input_spec), *_WRONG_BODIES):
        expected = [await _outcome(_parse_stock(method, body, context)) for _ in range(2)]
        # A body that BentoML itself reads differently each time, such as one with a random default, proves nothing.
        if expected[0] == expected[1] != await _outcome(_parse_ours(plan, body)):
            return f"it reads {body[:60]!r} differently from BentoML"
    for value in _outputs(method.output_spec):
        if await _outcome(_render_stock(method, value)) != await _outcome(_render_ours(plan, value)):
            return f"it writes {value!r:.60} differently from BentoML"
    return None


async def _outcome(work: Any) -> str:
    try:
        return _ADDRESS.sub("", repr(await work))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def _parse_ours(plan: Plan, body: bytes) -> Any:
    return plan.parse(body)


async def _parse_stock(method: Any, body: bytes, context: Any) -> Any:
    """Return the arguments that `api_endpoint` passes to the function for a request with this body."""

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    spec = method.input_spec
    request = Request({"type": "http", "method": "POST", "headers": []}, receive)  # type: ignore[arg-type]
    data = await IOMixin.from_http_request.__func__(spec, request, JSONSerde())
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if getattr(spec, "__root_input__", False):
        args = (data.root,) if isinstance(data, IORootModel) else (data,)
    else:
        kwargs = {name: getattr(data, name) for name in type(data).model_fields}
    if method.ctx_param is not None:
        kwargs[method.ctx_param] = context
    if ARGS in kwargs:
        args = (*args, kwargs.pop(ARGS))
    if KWARGS in kwargs:
        kwargs.update(kwargs.pop(KWARGS))
    return args, kwargs


async def _render_ours(plan: Plan, value: Any) -> Any:
    answer = plan.render(value)
    return None if answer is None else (answer.body, [answer.content_length, answer.content_type])


async def _render_stock(method: Any, value: Any) -> Any:
    response = await IOMixin.to_http_response.__func__(method.output_spec, value, JSONSerde())
    body = b"".join(response.body_iterator) if hasattr(response, "body_iterator") else response.body
    return body, response.raw_headers


def _bodies(spec: Any) -> Iterator[bytes]:
    schema = spec.model_json_schema()
    for variant in range(2):
        value = _example(schema, schema.get("$defs", {}), variant, 0)
        is_text = issubclass(spec, IORootModel) and isinstance(value, str)
        yield value.encode() if is_text else json.dumps(value).encode()


def _outputs(spec: Any) -> Iterator[Any]:
    """Yield values that a function with this output might return, as far as its schema allows making them."""
    for body in _bodies(spec):
        try:
            model = spec.model_validate_json(body)
        except Exception:  # noqa: S112 - a validator may require more than the schema says
            continue
        yield model.root if isinstance(model, IORootModel) else model


def _example(schema: Mapping[str, Any], definitions: Mapping[str, Any], variant: int, depth: int) -> Any:
    """Return an example of a JSON schema: variant 0 with all properties, 1 with the required ones and other numbers."""
    if depth > _MAX_DEPTH:
        return None
    if "$ref" in schema:
        return _example(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions, variant, depth + 1)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _example(schema[choice][-1 if variant else 0], definitions, variant, depth + 1)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        wanted = schema.get("required", ()) if variant else schema.get("properties", ())
        properties = schema.get("properties", {})
        return {name: _example(properties[name], definitions, variant, depth + 1) for name in wanted}
    if kind == "array":
        return [_example(schema.get("items", {}), definitions, variant, depth + 1)] * (20 if variant else 2)
    if kind == "tensor":
        shape = [abs(length) for length in schema.get("shape") or (2, 3)]
        return _filled(shape, 0.25 + variant)
    if kind == "dataframe":
        return [{"a": 1, "b": "x"}]
    return {"integer": 3 + variant, "number": 1.5 + variant, "string": "text", "boolean": True}.get(str(kind))


def _filled(shape: list[int], number: float) -> Any:
    return number if not shape else [_filled(shape[1:], number) for _ in range(shape[0])]
