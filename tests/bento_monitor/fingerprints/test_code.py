"""The digest of code, which covers exactly what Python executes."""

from __future__ import annotations

import pytest

from bento_monitor.fingerprints.code import digest_code

SAME = {
    "a docstring": ('def f():\n    """One."""\n    return g()', 'def f():\n    """Two."""\n    return g()'),
    "comments and lines": ("def f():\n    return g()", "# first\n\n\ndef f():\n    # then\n\n    return g()"),
    "spaces": ("def f(a): return a+1", "def f(a):\n    return a + 1"),
    "the order of a set": ("def f(a): return a in {1, 'b', 2.5}", "def f(a): return a in {2.5, 1, 'b'}"),
}
OTHER = {
    "an operator": ("def f(a): return a + 1", "def f(a): return a - 1"),
    "a number": ("def f(a): return a + 1", "def f(a): return a + 2"),
    "the type of a number": ("def f(a): return a + 1", "def f(a): return a + 1.0"),
    "True for 1": ("def f(a): return a + 1", "def f(a): return a + True"),
    "a name": ("def f(a): return a.b", "def f(a): return a.c"),
    "nested code": ("def f(a): return lambda: a + 1", "def f(a): return lambda: a + 2"),
    "an argument's kind": ("def f(a, b): return a", "def f(a, *, b): return a"),
    "a handler": ("def f():\n try: g()\n except A: h()", "def f():\n try: g()\n except B: h()"),
    "a generator": ("def f(): return 1", "def f():\n yield 1"),
    "a docstring that is a value too": (
        "def f():\n    'one'\n    return 'one'",
        "def f():\n    'two'\n    return 'two'",
    ),
    "a text that comes first": ("def f():\n    return 'one'", "def f():\n    return 'two'"),
}


def _digest(source: str) -> bytes:
    space: dict[str, object] = {}
    exec(source, space)
    return digest_code(space["f"].__code__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", SAME)
def test_text_that_is_not_executed_does_not_change_the_digest(name: str) -> None:
    first, second = SAME[name]

    assert _digest(first) == _digest(second)


@pytest.mark.parametrize("name", OTHER)
def test_executed_code_changes_the_digest(name: str) -> None:
    first, second = OTHER[name]

    assert _digest(first) != _digest(second)


def test_specialized_code_has_the_same_digest() -> None:
    def add(first: int, second: int) -> int:
        return first + second

    before = digest_code(add.__code__)
    for number in range(1000):
        add(number, number)  # Python specializes its instructions

    assert digest_code(add.__code__) == before
