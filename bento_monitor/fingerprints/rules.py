"""The rules that select the writer for a type, in the order in which they are tried."""

from __future__ import annotations

import enum
import functools
import operator
import types
from collections.abc import Callable

from . import functions, modules, objects, tensor_values
from .classes import write_class
from .runtime_objects import is_runtime_type
from .walk import Rule

_DESCRIPTORS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)


def rules() -> tuple[Rule, ...]:
    """Return every rule; the last rule matches any object."""
    return (
        (tensor_values.is_array_type, tensor_values.write_array),
        (tensor_values.is_constant_type, tensor_values.write_constant),
        (_of(enum.Enum), objects.write_enum),
        (_of(types.ModuleType), functions.write_module_name),
        (modules.is_script_type, modules.write_script),
        (modules.is_compiled_type, modules.write_compiled),
        (modules.is_module_type, modules.write_module),
        (is_runtime_type, objects.write_type),
        (_exactly(tuple), objects.write_tuple),
        (_exactly(frozenset), objects.write_frozenset),
        (_exactly(slice), objects.write_slice),
        (_of(types.FunctionType), functions.write_function),
        (_of(types.MethodType), functions.write_method),
        (_of(types.BuiltinFunctionType), functions.write_builtin),
        (_exactly(*_DESCRIPTORS), functions.write_descriptor),
        (_of(functools.partial, functools.partialmethod), functions.write_partial),
        (_of(property, staticmethod, classmethod, functools.cached_property), functions.write_accessor),
        (_exactly(type(functools.lru_cache(lambda: None))), functions.write_wrapped),
        (_exactly(operator.itemgetter, operator.attrgetter, operator.methodcaller), objects.write_reduced),
        (_exactly(types.CodeType), functions.write_code),
        (_exactly(types.CellType), functions.write_cell),
        (_of(type), write_class),
        (lambda cls: True, objects.write_object),
    )


def _of(*bases: type) -> Callable[[type], bool]:
    return lambda cls: issubclass(cls, bases)


def _exactly(*kinds: type) -> Callable[[type], bool]:
    return lambda cls: cls in kinds
