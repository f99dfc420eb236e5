"""Terminal-safe text: names and errors may hold control characters from a client or a file."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with each control character escaped: none can move the cursor, color or clear the screen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines with each control character except newlines escaped."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(char: str) -> str:
    return (
        char.encode("unicode_escape").decode("ascii") if ord(char) > 0x7F or char in "\n\r\t" else f"\\x{ord(char):02x}"
    )
