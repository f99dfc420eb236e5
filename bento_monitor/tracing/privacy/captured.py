"""What of a request's input goes onto its server span, because a person has asked for it by name."""

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
"""Characters of a value that are shown."""

WINDOW = LONGEST + LOOKAHEAD
"""Characters of a value that are kept: what is redacted at the end of the shown ones may reach past them."""

_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class CapturedInput:
    """Values of some fields, each a number or a text of bounded length; nothing else of the request is kept by it."""

    values: Mapping[str, str | float]
    is_redacted: bool

    def attributes(self) -> dict[str, AttributeValue]:
        """The attributes of the server span. What is redacted is redacted here, off the request's path."""
        return {CAPTURED_PREFIX + field: self._attribute(value) for field, value in self.values.items()}

    def _attribute(self, value: str | float) -> AttributeValue:
        if isinstance(value, str):
            text = redact(value, LONGEST) if self.is_redacted else value[:LONGEST]
            return exportable_text(text)
        if not self.is_redacted:
            return value
        # The digits of a fraction are no number of anything.
        text = str(int(value)) if value == int(value) else ""
        redacted = redact(text, LONGEST)
        return value if redacted == text else redacted


class InputCapture:
    """Notes fields of the input of one API for the request that is being served, if it is sampled."""

    def __init__(self, fields: Sequence[str], *, redacts: bool) -> None:
        self._fields = tuple(fields)
        self._redacts = redacts

    def note(self, parsed: Any) -> None:
        """Take the fields of what was parsed; never raises."""
        ledger = current_ledger.get()
        if ledger is None or not ledger.sampled:
            return
        values = {field: value for field in self._fields if (value := _shown(parsed, field)) is not None}
        ledger.captured = CapturedInput(values, self._redacts)

    def around(self, read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        """The same function, which notes what it has read."""

        def read_and_note(body: bytes) -> Any:
            parsed = read(body)
            self.note(parsed)
            return parsed

        return read_and_note


def choose_captures(
    names: Sequence[str], inputs: Mapping[str, Collection[str]], *, redacts: bool
) -> dict[str, InputCapture]:
    """Of each API what is captured of its input; an API that is not in it has nothing captured.

    Args:
        names: `api.field` each.
        inputs: API -> the fields of its input.
        redacts: whether what looks like a secret is left out.
    """
    chosen: dict[str, list[str]] = {}
    for name in names:
        api, _, field = name.partition(".")
        if field in inputs.get(api, ()):
            chosen.setdefault(api, []).append(field)
    return {api: InputCapture(fields, redacts=redacts) for api, fields in chosen.items()}


def unknown_fields(names: Sequence[str], *inputs: Mapping[str, Collection[str]]) -> list[str]:
    """Which of these `api.field` are in the inputs of no service."""
    known = {f"{api}.{field}" for service in inputs for api, fields in service.items() for field in fields}
    return [name for name in names if name not in known]


def _shown(parsed: Any, field: str) -> str | float | None:
    """A field as it is shown; None where it is not given. What a client has sent may fail it, and fails no other."""
    try:
        value = getattr(parsed, field)
        return None if value is None else _bounded(value)
    except Exception as error:
        return not_shown(error)


def _bounded(value: Any) -> str | float:
    """A number as it is; all else as text, in a time and of a length that do not grow with the value."""
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
    """A value as JSON, but for what JSON has no form for: of that only its type, and its shape."""
    if isinstance(value, BaseModel):
        value = dict(value)
    if depth > _DEEPEST:
        yield "..."
    elif isinstance(value, str):
        yield from ('"', value[:WINDOW], '"')
    elif value is None or isinstance(value, bool):
        yield {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, int | float):
        # Not all the digits of a fraction: they would be taken for a number of something.
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
