"""Different values have different digests, equal ones the same, and a walk over cycles ends."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import math
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bento_monitor.fingerprints.rules import rules
from bento_monitor.fingerprints.walk import Walk


def digest(value: Any) -> bytes:
    walk = Walk(rules())
    walk.value(value, "the value")
    return walk.finish()


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Point(NamedTuple):
    x: int
    y: int


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: int) -> None:
        self.left = left


@dataclasses.dataclass
class Record:
    name: str


class Words(list):  # type: ignore[type-arg]
    language: str


class Cell:
    other: Cell
    value: int


def _words(language: str) -> Words:
    words = Words(["a"])
    words.language = language
    return words


def _ring(size: int, value: int) -> Cell:
    cells = [Cell() for _ in range(size)]
    for index, cell in enumerate(cells):
        cell.other = cells[(index + 1) % size]
        cell.value = value
    return cells[0]


DIFFERENT: list[Any] = [
    None, ..., NotImplemented, True, False, 0, 1, -1, 1 << 5000, 0.0, -0.0, 1.0, math.nan, math.inf, 1j, complex(0,
    -0.0), "", "1", "None", b"", b"1", bytearray(b"1"), "\ud800", (), (1,), (1, 23), (12, 3), ((1,), 2), (1, (2,)), [],
    [1, 23], [12, 3], [[1], 2], [1, [2]], {}, {1: 2}, {1: 3}, {2: 1}, {1: 2, 3: 4}, {3: 4, 1: 2}, set(), {1}, {"1"},
    frozenset(), frozenset({1}), range(3), range(0, 3, 2), slice(1), slice(None, None, 2), Path("a"), Path("b"),
    Color.RED, Color.BLUE, Color, Point(1, 2), Point(2, 1), Slotted(1), Slotted(2), Record("a"), Record("b"),
    _words("en"), _words("de"), collections.OrderedDict({1: 2}), collections.OrderedDict({1: 3}),
    collections.deque([1]), collections.deque([1], 5), collections.defaultdict(list), collections.defaultdict(dict),
    dt.date(2020, 1, 1), dt.timedelta(1), re.compile("a"), re.compile("a", re.IGNORECASE), torch.float32, torch.float16,
    torch.Size([1]), torch.channels_last, np.float32(1), np.float64(1), np.float32(2), np.dtype("f4"), np.dtype("f8"),
    np.arange(2), np.arange(2.0), np.arange(3), torch.arange(2), torch.arange(3), torch.ones(2, 3), torch.ones(3, 2),
    torch.ones(6), len, sum, math.sin, "".join, ",".join, torch.relu, operator.itemgetter(0), operator.itemgetter(1),
    operator.attrgetter("a"), functools.partial(len), functools.partial(sum), functools.partial(sum, start=1), lambda:
    1, lambda: 2, lambda x=1: 1, lambda *, x=1: 1, lambda *, x=2: 1, int, float, Slotted(1).__init__, property(lambda
    self: 1), property(lambda self: 2), staticmethod(len), _ring(1, 1), _ring(2, 1), _ring(3, 1), _ring(3, 2),
    np.array([1, "a"], dtype=object), np.array([1, "b"], dtype=object), re.compile(b"a"), np.ma.array([1, 2], mask=[0,
    1]), np.ma.array([1, 2], mask=[1, 0]), torch.ops.aten.add.Tensor, torch.ops.aten.mul.Tensor,
]  # fmt: skip


def test_different_values_have_different_digests() -> None:
    seen: dict[bytes, Any] = {}
    for value in DIFFERENT:
        assert digest(value) not in seen, f"{value!r} and {seen[digest(value)]!r}"
        seen[digest(value)] = value


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"a", "b", "c", ("d", 1), frozenset({"e"})},
        lambda: {"b": [1, (2, 3)], "a": {1.5, None}},
        lambda: _ring(5, 2),
        lambda: Record("a"),
        lambda: collections.defaultdict(list, {1: [torch.ones(2)]}),
        lambda: {Color.RED, Color.BLUE, len, print},
        lambda: functools.partial(Slotted, 3),
        lambda: functools.lru_cache(Slotted),
        lambda: [(lambda x: x + 1) for _ in range(3)],
        lambda: {functools.partial(sum, start=index) for index in range(9)},
    ],
)
def test_equal_values_have_the_same_digest(make: Callable[[], Any]) -> None:
    assert digest(make()) == digest(make())


def test_long_chain_of_objects_is_hashed_to_its_end() -> None:
    def chain(last: int) -> list[Any]:
        value: list[Any] = [last]
        for _ in range(20_000):
            value = [value]
        return value

    first, same, other = chain(1), chain(1), chain(2)

    assert digest(first) == digest(same) != digest(other)


def test_cycles_through_sets_and_functions_terminate() -> None:
    def make(number: int) -> Any:
        class Node:
            def __init__(self) -> None:
                self.friends: set[Any] = set()
                self.number = number

        first, second = Node(), Node()
        first.friends, second.friends = {first, second}, {first, second}
        return first

    def even(number: int) -> bool:
        return number == 0 or odd(number - 1)

    def odd(number: int) -> bool:
        return number != 0 and even(number - 1)

    assert digest(make(1)) == digest(make(1)) != digest(make(2))
    assert digest(even) == digest(even) != digest(odd)


def test_functools_caches_do_not_matter() -> None:
    @functools.lru_cache
    def double(value: int) -> int:
        return value * 2

    before = digest(double)
    double(3)

    assert digest(double) == before


def test_attributes_are_read_without_calling_access_methods() -> None:
    class Proxy:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

        @property
        def costly(self) -> int:
            raise RuntimeError("evaluated")

    assert digest(Proxy()) == digest(Proxy())


_ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
_HASHABLE = st.recursive(_ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
_NESTED = st.recursive(
    _HASHABLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_HASHABLE, inner, max_size=4) | st.tuples(inner),
    max_leaves=12,
)


def canonical(value: Any) -> Any:
    """Return a value that equals another only if types, signs and order are the same."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, "nan" if math.isnan(value) else value.hex()
    if isinstance(value, complex):
        return kind, canonical(value.real), canonical(value.imag)
    if isinstance(value, dict):
        return kind, tuple((canonical(key), canonical(item)) for key, item in value.items())
    if isinstance(value, frozenset):
        return kind, tuple(sorted(repr(canonical(item)) for item in value))
    if isinstance(value, list | tuple):
        return kind, tuple(canonical(item) for item in value)
    return kind, value


@settings(max_examples=300, deadline=None)
@given(st.lists(_NESTED, min_size=2, max_size=6))
def test_digests_are_equal_exactly_if_values_are(values: list[Any]) -> None:
    for first in values:
        for second in values:
            assert (digest([first]) == digest([second])) == (canonical(first) == canonical(second))
