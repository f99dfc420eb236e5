"""Text from elsewhere, made fit for a terminal: names and errors may hold what a client or a file has put there."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with each control character escaped, so that none can move the cursor, colour or clear the screen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(char: str) -> str:
    return (
        char.encode("unicode_escape").decode("ascii") if ord(char) > 0x7F or char in "\n\r\t" else f"\\x{ord(char):02x}"
    )
