"""Hashing of containers and objects: their class, their content, and their attributes by name."""

from __future__ import annotations

import argparse
import types
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from .origins import Origin, name_of_class, origin_of_class
from .plain import as_base
from .walk import Walk

_PLAIN_CONTAINERS: tuple[type, ...] = (list, dict, set, deque, types.MappingProxyType)
_NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
# Attributes of transformers: a model in another folder, as in a built Bento, is the same model.
_LOCATION_NAMES = frozenset({"name_or_path", "_name_or_path"})
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a member of a type written in C may be an address


def write_object(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write an object: its class, its content as a container or number, its attributes and slots; never its `repr`."""
    cls = type(value)
    if cls in _PLAIN_CONTAINERS:
        walk.refer(value, label, is_deep, _content)
    elif is_deep or origin_of_class(cls) is Origin.USER or is_dataclass(cls) or issubclass(cls, _NAMESPACES):
        walk.refer(value, label, True, _content)
    elif issubclass(cls, (*_PLAIN_CONTAINERS, tuple, frozenset)) or as_base(value) is not None:
        walk.refer(value, label, False, _content)
    else:
        write_type(walk, value, label, is_deep)


def write_type(walk: Walk, value: Any, _label: str, _is_deep: bool) -> None:
    """Write the class name of an object whose content is not read."""
    walk.write("type", name_of_class(type(value)))


def write_tuple(walk: Walk, value: tuple[Any, ...], label: str, is_deep: bool) -> None:
    """Write a tuple in place, since the compiler decides whether two equal tuples are the same object."""
    _items(walk, "tuple", value, label, is_deep)


def write_frozenset(walk: Walk, value: frozenset[Any], label: str, is_deep: bool) -> None:
    """Write a frozenset in place."""
    walk.write("frozenset", b"%d" % len(value))
    walk.unordered(value, label, is_deep)


def write_slice(walk: Walk, value: slice, label: str, is_deep: bool) -> None:
    """Write a slice in place."""
    _items(walk, "slice", (value.start, value.stop, value.step), label, is_deep)


def write_enum(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write a member of an enumeration: its class, name and value."""
    walk.write("enum", f"{name_of_class(type(value))} {value.name}")
    walk.value(type(value), label, False)
    if value.value is not value:
        walk.value(value.value, label, is_deep)


def write_reduced(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write one of the `operator` module's getters, by the parts from which it is copied."""
    walk.write("reduced", type(value).__qualname__)
    walk.value(value.__reduce__()[1:], label, is_deep)


def write_attributes(walk: Walk, attributes: Mapping[Any, Any], label: str, is_deep: bool) -> None:
    """Write named values in the order of their names, except those that only say where a model was loaded from."""
    names = sorted(name for name in attributes if isinstance(name, str) and name not in _LOCATION_NAMES)
    walk.write("attributes", b"%d" % len(names))
    for name in names:
        walk.write("name", name)
        walk.value(attributes[name], f"{label}.{name}", is_deep)


def instance_attributes(value: Any) -> dict[str, Any]:
    """Return an object's own attributes and filled slots; properties are not evaluated."""
    found: dict[str, Any] = {}
    try:
        own = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        own = None
    if isinstance(own, dict):
        found.update(own)
    for name, descriptor in _slots(type(value)):
        try:
            found.setdefault(name, descriptor.__get__(value))
        except (AttributeError, TypeError):  # not filled
            continue
    return found


def _slots(cls: type) -> Iterator[tuple[str, types.MemberDescriptorType]]:
    for base in cls.__mro__:
        if base.__flags__ & _HEAP_TYPE:
            for name, member in list(base.__dict__.items()):
                if isinstance(member, types.MemberDescriptorType):
                    yield name, member


def _content(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    cls = type(value)
    if cls in _PLAIN_CONTAINERS:
        _held(walk, value, label, is_deep)
        return
    walk.write("object", name_of_class(cls))
    walk.value(cls, label, is_deep)
    _held(walk, value, label, is_deep)
    write_attributes(walk, instance_attributes(value), label, is_deep)


def _held(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write what an object holds as a container or number."""
    if isinstance(value, dict | types.MappingProxyType):
        pairs = list(dict.items(value)) if isinstance(value, dict) else list(value.items())
        walk.write("dict", b"%d" % len(pairs))
        if isinstance(value, defaultdict):
            walk.value(value.default_factory, label, is_deep)
        for key, item in pairs:
            walk.value(key, label, is_deep)
            walk.value(item, f"{label}[{key!r}]" if isinstance(key, str | int) else label, is_deep)
    elif isinstance(value, set | frozenset):
        walk.write("set", b"%d" % len(value))
        walk.unordered(list(value), label, is_deep)
    elif isinstance(value, list | tuple | deque):
        base: Any = next(base for base in (list, tuple, deque) if isinstance(value, base))
        _items(walk, base.__name__, tuple(base.__iter__(value)), label, is_deep)
        if isinstance(value, deque):
            walk.value(value.maxlen, label, is_deep)
    elif (plain := as_base(value)) is not None:
        walk.value(plain, label, is_deep)


def _items(walk: Walk, tag: str, items: tuple[Any, ...], label: str, is_deep: bool) -> None:
    walk.write(tag, b"%d" % len(items))
    for index, item in enumerate(items):
        walk.value(item, f"{label}[{index}]", is_deep)
