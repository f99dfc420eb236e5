"""Bytes of immutable values: equal bytes for equal values of the same type, and for no other values."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
import struct
import uuid
from collections.abc import Callable
from pathlib import PurePath
from typing import Any


def _float(value: float) -> bytes:
    return struct.pack(">d", math.nan if math.isnan(value) else value)


_ATOMS: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    type(None): (b"none", lambda value: b""),
    type(...): (b"ellipsis", lambda value: b""),
    type(NotImplemented): (b"notimplemented", lambda value: b""),
    bool: (b"bool", lambda value: b"1" if value else b"0"),
    int: (b"int", lambda value: b"%x" % value),
    float: (b"float", _float),
    complex: (b"complex", lambda value: _float(value.real) + _float(value.imag)),
    str: (b"str", lambda value: value.encode("utf-8", "surrogatepass")),
    bytes: (b"bytes", bytes),
    bytearray: (b"bytearray", bytes),
    re.Pattern: (b"pattern", lambda value: frame(b"flags", b"%d" % value.flags) + encode_plain(value.pattern)),
    range: (b"range", lambda value: b"%d %d %d" % (value.start, value.stop, value.step)),
}
# Types of the standard library, without their subclasses, whose repr is their value.
_BY_REPR: frozenset[type] = frozenset(
    {
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        dt.timezone,
        decimal.Decimal,
        uuid.UUID,
    }
)
PLAIN_BASES: tuple[type, ...] = (int, float, complex, str, bytes, bytearray)


def frame(tag: bytes, payload: bytes) -> bytes:
    """Return a payload with its tag and length, so that no two sequences of frames have the same bytes."""
    return b"%s %d:" % (tag, len(payload)) + payload


def encode_atom(value: object) -> bytes | None:
    """Return the bytes of a value that holds no other values; None if its type is not one of these."""
    kind = type(value)
    if kind in _ATOMS:
        tag, encode = _ATOMS[kind]
        return frame(tag, encode(value))
    if isinstance(value, PurePath):
        return frame(b"path", str(value).encode("utf-8", "surrogatepass"))
    return frame(b"repr", f"{kind.__qualname__} {value!r}".encode()) if kind in _BY_REPR else None


def encode_plain(value: object) -> bytes:
    """Return the bytes of an atom, or of a tuple, frozenset or slice of atoms: the constants of code objects.

    Raises:
        TypeError: the value is of another type.
    """
    atom = encode_atom(value)
    if atom is not None:
        return atom
    if type(value) is tuple:
        return frame(b"tuple", b"".join(encode_plain(item) for item in value))
    if type(value) is frozenset:
        return frame(b"frozenset", b"".join(sorted(encode_plain(item) for item in value)))
    if type(value) is slice:
        return frame(b"slice", b"".join(encode_plain(item) for item in (value.start, value.stop, value.step)))
    raise TypeError(f"not a plain value: {type(value).__qualname__}")


def as_base(value: object) -> object | None:
    """Return the plain value in an instance of a subclass of `int`, `float`, `str` and the like; None for others."""
    base = next((base for base in PLAIN_BASES if isinstance(value, base)), None)
    if base is None:
        return None
    if base is int:
        return int.__int__(value)  # type: ignore[arg-type]
    if base is float:
        return float.__float__(value)  # type: ignore[arg-type]
    if base is complex:
        return complex(value.real, value.imag)  # type: ignore[attr-defined]
    return str.__str__(value) if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
