"""Sample requests, made from the service's OpenAPI description: `/docs.json`, which every BentoML service has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError

_SENTENCE = "A short sentence that stands for what people write."
_DEEPEST = 12
_OWN_ROUTES = ("/livez", "/healthz", "/readyz", "/metrics")


@dataclass(frozen=True, slots=True)
class ApiSchema:
    """One API as the server describes it: its route, the schema of its JSON input, and the components it refers to."""

    route: str
    schema: Mapping[str, Any]
    components: Mapping[str, Any]


def find_api(document: Mapping[str, Any], api: str | None) -> ApiSchema:
    """Find one of a server's APIs.

    Args:
        document: content of `/docs.json`.
        api: name or route; None if the service has only one API.

    Raises:
        InputError: the service has no such API, or has several and `api` is None.
    """
    routes = {
        route: operations["post"]
        for route, operations in document.get("paths", {}).items()
        if "post" in operations and route not in _OWN_ROUTES
    }
    names = ", ".join(sorted(route.lstrip("/") for route in routes)) or "none"
    if api is None and len(routes) != 1:
        raise InputError(f"The service does not have exactly one API (it has: {names}): name one with --api.")
    route = next(iter(routes)) if api is None else "/" + api.lstrip("/")
    if route not in routes:
        raise InputError(f"The service has no API {api!r}: name one of {names} with --api.")
    content = routes[route].get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return ApiSchema(route, schema, document.get("components", {}).get("schemas", {}))


def sample_body(api: ApiSchema) -> bytes:
    """Return the smallest body that matches the API's schema.

    Raises:
        InputError: the schema is too vague, as that of a tensor or a file is.
    """
    try:
        return json.dumps(_example(api.schema, api.components, 0)).encode()
    except LookupError as error:
        raise InputError(
            f"No sample input for {api.route} can be generated ({error.args[0]}): "
            "give inputs with --data FILE, one JSON body per line."
        ) from error


def read_bodies(file: Path) -> tuple[bytes, ...]:
    """Read JSON bodies from a file, one per line.

    Raises:
        InputError: the file cannot be read, is empty, or has a line that is not JSON.
    """
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({error}): give a text file with one JSON body per line.") from error
    if not lines:
        raise InputError(f"{file} is empty: give one JSON body per line.")
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except ValueError as error:
            raise InputError(f"Line {number} of {file} is not JSON ({error}): give one JSON body per line.") from error
    return tuple(line.encode() for line in lines)


def _example(schema: Mapping[str, Any], components: Mapping[str, Any], depth: int) -> Any:
    if depth > _DEEPEST:
        raise LookupError("its schema refers to itself")
    if "$ref" in schema:
        return _example(components[schema["$ref"].rpartition("/")[2]], components, depth + 1)
    for key in ("example", "default", "const"):
        if key in schema:
            return schema[key]
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _example(schema[key][0], components, depth + 1)
    if schema.get("allOf"):
        merged: dict[str, Any] = {}
        for part in schema["allOf"]:
            merged |= _example(part, components, depth + 1)
        return merged
    return _of_type(schema, components, depth)


def _of_type(schema: Mapping[str, Any], components: Mapping[str, Any], depth: int) -> Any:
    match schema.get("type"):
        case "object":
            required = schema.get("required", list(schema.get("properties", {})))
            return {name: _example(schema["properties"][name], components, depth + 1) for name in required}
        case "array":
            return [_example(schema.get("items", {}), components, depth + 1)] * max(1, schema.get("minItems", 1))
        case "string" if schema.get("format") in (None, "textarea"):
            return _SENTENCE[: schema.get("maxLength")].ljust(schema.get("minLength", 0), ".")
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case "null":
            return None
        case other:
            raise LookupError(f"an input of type {other or 'any'} {schema.get('format', '')}".rstrip())
