"""What may leave the process: the attributes on the allow-list, fields that were asked for, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..conventions import ALLOWED_ATTRIBUTES, CAPTURED_PREFIX

AttributeValue = str | int | float | bool


def allowed_attributes(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    """The attributes that may leave the process and have a value."""
    return {
        name: value
        for name, value in attributes.items()
        if value is not None and (name in ALLOWED_ATTRIBUTES or name.startswith(CAPTURED_PREFIX))
    }


_OF_CONTENT = frozenset(
    {"url.full", "url.query", "http.url", "http.target", "db.statement", "db.query.text", "exception.message"}
    | {"exception.stacktrace"}
)


def user_attributes(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """The attributes that user code has set, less what instrumentations of libraries set of contents by themselves."""
    return {
        name: value if isinstance(value, str | int | float | bool) else json.dumps(value, default=str)
        for name, value in attributes.items()
        if name not in _OF_CONTENT
    }
