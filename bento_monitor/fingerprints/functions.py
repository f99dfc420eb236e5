"""Hashing of functions: their code, their defaults, their closures, and the globals that they read."""

from __future__ import annotations

import functools
import types
from typing import Any

from .code import digest_code, names_read
from .objects import instance_attributes, write_attributes
from .origins import Origin, origin_of_function, origin_of_module
from .walk import Walk

_COMPILED_FROM = "_torchdynamo_orig_callable"  # set by torch.compile on the function that it returns


def write_function(walk: Walk, function: types.FunctionType, label: str, is_deep: bool) -> None:
    """Write a function; for one compiled by torch, write the original function."""
    original = function.__dict__.get(_COMPILED_FROM)
    if original is not None:
        walk.value(original, label, is_deep)
    elif origin_of_function(function) is Origin.BY_NAME and not function.__closure__:
        walk.write("known function", _name(function))
    else:
        walk.refer(function, label, True, _content)


def write_method(walk: Walk, method: types.MethodType, label: str, is_deep: bool) -> None:
    """Write a function and the object that it is bound to."""
    walk.write("method")
    walk.value(method.__func__, label, is_deep)
    walk.value(method.__self__, label, is_deep)


def write_builtin(walk: Walk, function: types.BuiltinFunctionType, label: str, is_deep: bool) -> None:
    """Write a function implemented in C: its name, and the object that it is bound to."""
    walk.write("builtin", f"{function.__module__ or ''}.{function.__qualname__}")
    if not isinstance(function.__self__, types.ModuleType | None):
        walk.value(function.__self__, label, is_deep)


def write_descriptor(walk: Walk, descriptor: Any, _label: str, _is_deep: bool) -> None:
    """Write a method or slot of a class implemented in C: its name."""
    walk.write("descriptor", f"{type(descriptor).__name__} {descriptor.__qualname__}")


def write_partial(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write a partial function and its arguments."""
    walk.write("partial", type(value).__qualname__)
    for part in (value.func, tuple(value.args), tuple(value.keywords.items())):
        walk.value(part, label, is_deep)


def write_accessor(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write the functions of a property, static method or class method."""
    walk.write("accessor", type(value).__qualname__)
    if isinstance(value, property):
        parts: tuple[Any, ...] = (value.fget, value.fset, value.fdel)
    else:
        parts = (value.func,) if isinstance(value, functools.cached_property) else (value.__func__,)
    for part in parts:
        walk.value(part, label, is_deep)


def write_wrapped(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write a function behind `functools.lru_cache`, without the cached values."""
    walk.write("cached")
    walk.value(value.__wrapped__, label, is_deep)


def write_code(walk: Walk, code: types.CodeType, _label: str, _is_deep: bool) -> None:
    """Write a code object by itself."""
    walk.write("code", digest_code(code))


def write_cell(walk: Walk, cell: types.CellType, label: str, is_deep: bool) -> None:
    """Write a variable that functions close over."""
    try:
        content = cell.cell_contents
    except ValueError:
        walk.write("empty cell")
        return
    walk.value(content, label, is_deep)


def write_module_name(walk: Walk, module: types.ModuleType, _label: str, _is_deep: bool) -> None:
    """Write the name of a Python module that an object holds, unless the module is the user's own."""
    walk.write("python module", "" if origin_of_module(module) is Origin.USER else module.__name__)


def _content(walk: Walk, function: types.FunctionType, label: str, _is_deep: bool) -> None:
    origin = origin_of_function(function)
    is_own = origin is Origin.USER
    code = function.__code__
    walk.write("function", code.co_qualname if is_own else _name(function))
    if origin is not Origin.BY_NAME:
        walk.write("code", digest_code(code))
    walk.value(function.__defaults__, f"the defaults of {label}", is_own)
    walk.value(tuple((function.__kwdefaults__ or {}).items()), f"the defaults of {label}", is_own)
    for cell in function.__closure__ or ():
        walk.value(cell, f"a variable that {label} closes over", is_own)
    if is_own:
        write_attributes(walk, instance_attributes(function), label, False)
        names = sorted(set(names_read(code)))
        _globals(walk, names, function.__globals__, set())


def _globals(walk: Walk, names: list[str], space: dict[str, Any], seen: set[int]) -> None:
    """Write the globals of these names; of a global that is the user's own module, its attributes of these names."""
    for name in names:
        if name not in space:
            continue
        value = space[name]
        walk.write("global", name)
        if isinstance(value, types.ModuleType) and origin_of_module(value) is Origin.USER:
            if id(value) not in seen:
                seen.add(id(value))
                _globals(walk, names, vars(value), seen)
                walk.write("end of globals")
        else:
            walk.value(value, f"the global {name}", False)


def _name(function: types.FunctionType) -> str:
    return f"{function.__globals__.get('__name__')}.{function.__code__.co_qualname}"
