"""What was taken of a request's input, until it becomes attributes of the server span."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..conventions import CAPTURED_PREFIX
from .privacy import AttributeValue, exportable_text
from .redaction import LOOKAHEAD, redact

LONGEST = 256
"""Characters of a value that are shown."""

WINDOW = LONGEST + LOOKAHEAD
"""Characters of a value that are kept: what is redacted at the end of the shown ones may reach past them."""


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
