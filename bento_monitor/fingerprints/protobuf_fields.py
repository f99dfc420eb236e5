"""The fields of a protobuf message, read by wire format without a schema, and copied only on request.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]  # (offset, length) -> at most that many bytes
_MAX_HEAD_BYTES = 20  # two variable-length integers
_MAX_INTEGER_BYTES = 10
_AT_ONCE_BYTES = 4 << 10  # a message up to this size is read at once, and not field by field
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class NotProtobufError(ValueError):
    """The bytes are not a protobuf message."""


class Message:
    """A message from `start` to `end` of the data that `read` returns."""

    __slots__ = ("_read", "end", "start")

    def __init__(self, read: Read, start: int, end: int) -> None:
        self._read = read
        self.start = start
        self.end = end

    def fields(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the number, first byte, end and value of each field; the value is 0 unless the field is an integer.

        Raises:
            NotProtobufError: the bytes do not follow the wire format.
        """
        at = self.start
        if self.end - at <= _AT_ONCE_BYTES:
            self._read = _from_memory(self._read(at, self.end - at), at)
        while at < self.end:
            head = self._read(at, _MAX_HEAD_BYTES)
            key, used = _varint(head, 0)
            number, kind = key >> 3, key & 7
            value = 0
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
            if kind == _VARINT:
                value, used = _varint(head, used)
            elif kind == _BYTES:
                length, used = _varint(head, used)
            elif kind not in (_FIXED64, _FIXED32):
                raise NotProtobufError(f"unknown wire type {kind}")
            start, at = at + used, at + used + length
            if number == 0 or at > self.end:
                raise NotProtobufError("a field ends after its message")
            yield number, start, at, value

    def inner(self, start: int, end: int) -> Message:
        """Return the message that a field holds."""
        return Message(self._read, start, end)

    def text(self, start: int, end: int) -> str:
        """Return the text that a field holds."""
        try:
            return self._read(start, end - start).decode()
        except UnicodeDecodeError as error:
            raise NotProtobufError("text that is not UTF-8") from error


def _from_memory(data: bytes, first: int) -> Read:
    return lambda offset, length: data[offset - first : offset - first + length]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(at, min(len(data), at + _MAX_INTEGER_BYTES)):
        byte = data[index]
        value |= (byte & 0x7F) << 7 * (index - at)
        if byte < 0x80:
            return value, index + 1
    raise NotProtobufError("an integer without end")
