"""A walk over everything that can be reached from a value, hashed into one digest."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .contents import digest_contents
from .plain import encode_atom, frame

Write = Callable[["Walk", Any, str, bool], None]
Rule = tuple[Callable[[type], bool], Write]


class Walk:
    """Writes values into a digest, each by the first of the `rules` that matches the value's type.

    A value that may be reached twice is written once and numbered; later its number stands for the value, so that
    cycles end. Such values wait in a queue, so that a long chain of objects needs no deep stack. Tensors and arrays are
    kept in `deferred` and hashed later.

    `is_deep` is False for values reached from a library's code or from globals: there, only the type of a library's
    object is written. `pause` is called before each value, to let other threads run.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        tree: Iterable[int] = (),
        known: Mapping[Any, int] | None = None,
        *,
        pause: Callable[[], None] | None = None,
    ) -> None:
        self.rules = rules
        self._pause = pause
        self.tree = frozenset(tree)
        self.deferred: list[tuple[str, Any]] = []
        self._hash = hashlib.sha256()
        self._known: dict[Any, int] = dict(known or {})
        self._rule_of: dict[type, Write] = {}
        self._queue: deque[tuple[int, Any, str, bool, Write]] = deque()
        self._kept: list[Any] = []  # an id is valid only while its object lives

    def write(self, tag: str, payload: bytes | str = b"") -> None:
        """Put a tag and bytes into the digest."""
        self._hash.update(frame(tag.encode(), payload.encode() if isinstance(payload, str) else payload))

    def value(self, value: Any, label: str, is_deep: bool = True) -> None:
        """Write a value, or a number that stands for it."""
        if self._pause is not None:
            self._pause()
        atom = encode_atom(value)
        if atom is not None:
            self._hash.update(atom)
            return
        cls = type(value)
        write = self._rule_of.get(cls)
        if write is None:
            write = self._rule_of[cls] = next(write for is_for, write in self.rules if is_for(cls))
        write(self, value, label, is_deep)

    def refer(self, value: Any, label: str, is_deep: bool, content: Write) -> None:
        """Write the number of a value; its `content` is written once, after the values now being written."""
        key = (id(value), is_deep)
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._known)
            self._kept.append(value)
            self._queue.append((number, value, label, is_deep, content))
        self.write("ref", b"%d" % number)

    def defer(self, content: Any, label: str) -> None:
        """Write a placeholder for a tensor, an array or a script module, whose bytes are hashed later."""
        self.deferred.append((label, content))
        self.write("content")

    def unordered(self, values: Iterable[Any], label: str, is_deep: bool) -> None:
        """Write values whose order does not matter."""
        parts = []
        for value in values:
            atom = encode_atom(value)
            if atom is None:
                part = Walk(self.rules, self.tree, self._known)
                part.value(value, label, is_deep)
                atom = frame(b"walked", part.finish())
            parts.append(atom)
        self.write("unordered", b"".join(sorted(parts)))

    def finish(self) -> bytes:
        """Return the digest of the written values and of the deferred bytes."""
        digest = hashlib.sha256(self.structure())
        for content in digest_contents(self.deferred):
            digest.update(content)
        return digest.digest()

    def structure(self) -> bytes:
        """End the walk and return the digest of the written values, without the deferred bytes."""
        while self._queue:
            number, value, label, is_deep, content = self._queue.popleft()
            self.write("is", b"%d" % number)
            content(self, value, label, is_deep)
        self._kept.clear()
        self._known.clear()
        return self._hash.digest()
