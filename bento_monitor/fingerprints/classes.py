"""What is written of a class: its bases, its functions and its plain values."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from .functions import write_function
from .objects import write_attributes
from .origins import Origin, name_of_class, origin_of_class, origin_of_function
from .walk import Walk

# Names in a class that Python and pydantic fill: the source's text and places, and caches that hold addresses.
_NOT_LOOKED_AT = frozenset(
    {
        "__abstractmethods__",
        "__annotate__",
        "__annotate_func__",
        "__annotations__",
        "__annotations_cache__",
        "__dict__",
        "__doc__",
        "__firstlineno__",
        "__module__",
        "__orig_bases__",
        "__parameters__",
        "__qualname__",
        "__static_attributes__",
        "__type_params__",
        "__weakref__",
        "_abc_impl",
    }
)


def write_class(walk: Walk, cls: type, label: str, is_deep: bool) -> None:
    """A class; a library's that was reached from a library is its name."""
    if is_deep or origin_of_class(cls) is Origin.USER:
        walk.refer(cls, label, True, _content)
    else:
        walk.write("class name", name_of_class(cls))


def _content(walk: Walk, cls: type, label: str, _is_deep: bool) -> None:
    origin = origin_of_class(cls)
    walk.write("class", name_of_class(cls))
    if origin is Origin.BY_NAME:
        _patches(walk, cls)
    else:
        is_own = origin is Origin.USER
        own = {name: value for name, value in list(cls.__dict__.items()) if not _is_skipped(name)}
        write_attributes(walk, own, name_of_class(cls), is_own)
    bases = [base for base in cls.__mro__[1:] if base is not object]
    walk.write("bases", b"%d" % len(bases))
    for base in bases:
        walk.value(base, label, True)
    if type(cls) is not type:
        walk.value(type(cls), label, True)


def _patches(walk: Walk, cls: type) -> None:
    """Functions that somebody else has put into a class of torch or Python, and those that torch.fx has generated."""
    for name, value in sorted(cls.__dict__.items()):
        if isinstance(value, FunctionType) and origin_of_function(value) is not Origin.BY_NAME:
            walk.write("patch", name)
            write_function(walk, value, f"{name_of_class(cls)}.{name}", False)


def _is_skipped(name: Any) -> bool:
    return name in _NOT_LOOKED_AT or str(name).startswith("__pydantic_")
