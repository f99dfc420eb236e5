"""The digest of a code object: what Python executes, whatever the source file says now.

File names, line numbers and docstrings are not part of the digest.
"""

from __future__ import annotations

import hashlib
import inspect
import opcode
import struct
import sys
from collections.abc import Iterator
from types import CodeType

from .plain import encode_plain

_HAS_DOCSTRING = 0x4000000  # CO_HAS_DOCSTRING, from Python 3.13 on
_LOADS_FIRST = tuple(
    bytes((opcode.opmap[name], 0))
    for name in ("LOAD_CONST", "RETURN_CONST", "LOAD_CONST_IMMORTAL", "LOAD_CONST_MORTAL")
    if opcode.opmap.get(name, 256) < 256
)


def digest_code(code: CodeType) -> bytes:
    """Return the SHA-256 of a code object and the code objects nested in it."""
    digest = hashlib.sha256()
    numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    digest.update(struct.pack(">4q", *numbers))
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    for part in (encode_plain(names), code.co_code, code.co_exceptiontable, _consts(code)):
        digest.update(b"%d:" % len(part) + part)
    return digest.digest()


def names_read(code: CodeType) -> Iterator[str]:
    """Yield every name that a code object or one nested in it looks up: globals and attributes."""
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from names_read(const)


def _consts(code: CodeType) -> bytes:
    consts: list[object] = list(code.co_consts)
    if _has_docstring(code):
        consts[0] = None
    parts = (b"code" + digest_code(c) if isinstance(c, CodeType) else b"value" + encode_plain(c) for c in consts)
    return b"".join(b"%d:" % len(part) + part for part in parts)


def _has_docstring(code: CodeType) -> bool:
    """Whether the first constant is only a docstring: the code may use the same text as a value."""
    if not code.co_consts or not isinstance(code.co_consts[0], str) or _may_load_first(code.co_code):
        return False
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & _HAS_DOCSTRING)
    return bool(code.co_flags & inspect.CO_NEWLOCALS) and not code.co_name.startswith("<")


def _may_load_first(instructions: bytes) -> bool:
    for pattern in _LOADS_FIRST:
        at = instructions.find(pattern)
        while at >= 0:
            if at % 2 == 0:
                return True
            at = instructions.find(pattern, at + 1)
    return False
