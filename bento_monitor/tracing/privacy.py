"""What may leave the process: the attributes on the allow-list, fields that were asked for, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from ..conventions import ALLOWED_ATTRIBUTES, CAPTURED_PREFIX

AttributeValue = str | int | float | bool


def allowed_attributes(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    """The attributes that may leave the process and have a value."""
    return {
        name: value
        for name, value in attributes.items()
        if value is not None and (name in ALLOWED_ATTRIBUTES or name.startswith(CAPTURED_PREFIX))
    }
