"""Whose code a function, class or module is: the user's own, a library's, or code that is identified by name alone."""

from __future__ import annotations

import sys
import sysconfig
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import FunctionType, ModuleType

_INSTALLED = frozenset({"site-packages", "dist-packages"})
# torch's own code is identified by torch's version, which is in every fingerprint; numpy and our packages compute no
# model.
_BY_NAME = frozenset({"torch", "numpy", "bento_monitor", "optimizers"})


class Origin(Enum):
    """The origin of code, which decides how much of the code is hashed."""

    USER = "the user's own: the code and the globals that it reads are hashed; named without its module"
    LIBRARY = "an installed library's: the code is hashed without globals; named with its module"
    BY_NAME = "Python's, torch's, numpy's or ours: only its name is hashed"


def origin_of_class(cls: type) -> Origin:
    """Return the origin of a class."""
    name = str(getattr(cls, "__module__", None) or "")
    return origin_of_name(name, getattr(sys.modules.get(name), "__file__", None))


def origin_of_function(function: FunctionType) -> Origin:
    """Return the origin of a function, by its globals, since a decorator copies the name of the function it wraps."""
    space = function.__globals__
    return origin_of_name(str(space.get("__name__") or ""), space.get("__file__"))


def origin_of_module(module: ModuleType) -> Origin:
    """Return the origin of a module."""
    return origin_of_name(module.__name__, getattr(module, "__file__", None))


def name_of_class(cls: type) -> str:
    """Return the name of a class; that of a user's class has no module, since the module's name may vary."""
    qualname = str(cls.__qualname__)
    return qualname if origin_of_class(cls) is Origin.USER else f"{cls.__module__}.{qualname}"


@lru_cache(maxsize=4096)
def origin_of_name(name: str, file: str | None) -> Origin:
    """Return the origin of the module with this name and file; a module that is not found counts as the user's own."""
    top = name.partition(".")[0]
    if top in _BY_NAME:
        return Origin.BY_NAME
    if not isinstance(file, str):
        is_python = top in sys.stdlib_module_names or top in sys.builtin_module_names
        return Origin.BY_NAME if is_python else Origin.USER
    if _INSTALLED.intersection(Path(file).parts):
        return Origin.LIBRARY
    return Origin.BY_NAME if _is_in_standard_library(file) else Origin.USER


def _is_in_standard_library(file: str) -> bool:
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    return any(Path(file).is_relative_to(folder) for folder in folders if folder)
