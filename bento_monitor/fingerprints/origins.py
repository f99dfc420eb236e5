"""Whose code a function, class or module is: the user's own, a library's, or that of one taken by name alone."""

from __future__ import annotations

import sys
import sysconfig
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import FunctionType, ModuleType

_INSTALLED = frozenset({"site-packages", "dist-packages"})
# torch's own code is told by torch's version, which is in every fingerprint; numpy's and ours compute no model.
_BY_NAME = frozenset({"torch", "numpy", "bento_monitor", "optimizers"})


class Origin(Enum):
    """Where code comes from, and so how closely it is looked at."""

    USER = "the user's own: code, and whatever it reads of its module's globals; named without its module"
    LIBRARY = "an installed library's: code without globals; named with its module"
    BY_NAME = "Python's, torch's, numpy's or ours: its name alone"


def origin_of_class(cls: type) -> Origin:
    """Whose class this is."""
    name = str(getattr(cls, "__module__", None) or "")
    return origin_of_name(name, getattr(sys.modules.get(name), "__file__", None))


def origin_of_function(function: FunctionType) -> Origin:
    """Whose function this is; by its globals, since a decorator copies the name of what it wraps."""
    space = function.__globals__
    return origin_of_name(str(space.get("__name__") or ""), space.get("__file__"))


def origin_of_module(module: ModuleType) -> Origin:
    """Whose module this is."""
    return origin_of_name(module.__name__, getattr(module, "__file__", None))


def name_of_class(cls: type) -> str:
    """The name that a class goes by: the user's own may be imported from a module of any name."""
    qualname = str(cls.__qualname__)
    return qualname if origin_of_class(cls) is Origin.USER else f"{cls.__module__}.{qualname}"


@lru_cache(maxsize=4096)
def origin_of_name(name: str, file: str | None) -> Origin:
    """Whose the module of this name and file is; one that is not to be found is taken for the user's own."""
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
