"""Captures input fields that the settings name, as attributes of the server span."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydantic import BaseModel

from ...conventions import CAPTURED_PREFIX
from ..ledger.ledger import current_ledger
from .allow_list import AttributeValue, exportable_text, fits_otlp, integer_text, not_shown
from .redaction import LOOKAHEAD, redact

LONGEST = 256
"""Maximum characters of an exported value."""

WINDOW = LONGEST + LOOKAHEAD
"""Maximum characters of a captured value: a secret at the end of the exported part may extend beyond it."""

_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class CapturedInput:
    """Values of captured fields, each a number or a text of bounded length; nothing else of the request is kept."""

    values: Mapping[str, str | float]
    is_redacted: bool

    def attributes(self) -> dict[str, AttributeValue]:
        """Return the attributes for the server span. Values are redacted here, outside the request path."""
        return {CAPTURED_PREFIX + field: self._attribute(value) for field, value in self.values.items()}

    def _attribute(self, value: str | float) -> AttributeValue:
        if isinstance(value, str):
            text = redact(value, LONGEST) if self.is_redacted else value[:LONGEST]
            return exportable_text(text)
        if not self.is_redacted:
            return value
        # The digits of a fraction are not an account or card number.
        text = str(int(value)) if value == int(value) else ""
        redacted = redact(text, LONGEST)
        return value if redacted == text else redacted


class InputCapture:
    """Captures input fields of one API for the current request, if it is sampled."""

    def __init__(self, fields: Sequence[str], *, redacts: bool) -> None:
        self._fields = tuple(fields)
        self._redacts = redacts

    def note(self, parsed: Any) -> None:
        """Capture the fields of a parsed input; never raises."""
        ledger = current_ledger.get()
        if ledger is None or not ledger.sampled:
            return
        values = {field: value for field in self._fields if (value := _shown(parsed, field)) is not None}
        ledger.captured = CapturedInput(values, self._redacts)

    def around(self, read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        """Wrap a function that parses a body, and capture the fields of its result."""

        def read_and_note(body: bytes) -> Any:
            parsed = read(body)
            self.note(parsed)
            return parsed

        return read_and_note


def choose_captures(
    names: Sequence[str], inputs: Mapping[str, Collection[str]], *, redacts: bool
) -> dict[str, InputCapture]:
    """Return an `InputCapture` for each API with captured fields.

    Args:
        names: the captured fields, each as `api.field`.
        inputs: the input fields of each API.
        redacts: whether values that look like secrets are redacted.
    """
    chosen: dict[str, list[str]] = {}
    for name in names:
        api, _, field = name.partition(".")
        if field in inputs.get(api, ()):
            chosen.setdefault(api, []).append(field)
    return {api: InputCapture(fields, redacts=redacts) for api, fields in chosen.items()}


def unknown_fields(names: Sequence[str], *inputs: Mapping[str, Collection[str]]) -> list[str]:
    """Return those `api.field` names that are not in the inputs of any service."""
    known = {f"{api}.{field}" for service in inputs for api, fields in service.items() for field in fields}
    return [name for name in names if name not in known]


def _shown(parsed: Any, field: str) -> str | float | None:
    """Return a field's value for export; None if it is absent. A value that fails does not affect other fields."""
    try:
        value = getattr(parsed, field)
        return None if value is None else _bounded(value)
    except Exception as error:
        return not_shown(error)


def _bounded(value: Any) -> str | float:
    """Return a number unchanged, and any other value as text; time and length do not grow with the value."""
    if isinstance(value, str):
        return value[:WINDOW]
    if isinstance(value, int):
        return value if fits_otlp(value) else integer_text(value)[:WINDOW]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    parts: list[str] = []
    left = WINDOW
    for piece in _pieces(value, 0):
        parts.append(piece[:left])
        left -= len(piece)
        if left <= 0:
            break
    return "".join(parts)


def _pieces(value: Any, depth: int) -> Iterator[str]:
    """Yield a value as JSON; a value that JSON cannot represent becomes its type and shape."""
    if isinstance(value, BaseModel):
        value = dict(value)
    if depth > _DEEPEST:
        yield "..."
    elif isinstance(value, str):
        yield from ('"', value[:WINDOW], '"')
    elif value is None or isinstance(value, bool):
        yield {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, int | float):
        # Not all digits of a fraction: they would look like an account or card number.
        yield integer_text(value) if isinstance(value, int) else f"{value:.6g}"
    elif isinstance(value, Mapping):
        entries = (chain(_pieces(str(name), depth), (": ",), _pieces(each, depth + 1)) for name, each in value.items())
        yield from _enclosed("{}", entries)
    elif isinstance(value, list | tuple | set | frozenset):
        yield from _enclosed("[]", (_pieces(each, depth + 1) for each in value))
    else:
        shape = getattr(value, "shape", None)
        yield type(value).__name__ if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"


def _enclosed(brackets: str, entries: Iterator[Iterator[str]]) -> Iterator[str]:
    yield brackets[0]
    for index, entry in enumerate(entries):
        if index:
            yield ", "
        yield from entry
    yield brackets[1]
