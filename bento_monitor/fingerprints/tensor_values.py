"""Hashing of tensors, arrays and their types; their bytes are hashed later."""

from __future__ import annotations

import sys
from typing import Any

from .objects import instance_attributes, write_attributes
from .origins import Origin, name_of_class, origin_of_class
from .walk import Walk

_TORCH_CONSTANTS = ("dtype", "Size", "layout", "memory_format", "qscheme", "finfo", "iinfo")


def is_array_type(cls: type) -> bool:
    """Whether `cls` is a class of torch tensors or numpy arrays."""
    import numpy as np

    torch = sys.modules.get("torch")
    return issubclass(cls, np.ndarray) or (torch is not None and issubclass(cls, torch.Tensor))


def write_array(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write a placeholder for the bytes of a tensor or array, and the attributes that a subclass adds."""
    cls = type(value)
    if hasattr(cls, "__tensor_flatten__"):
        _flattened(walk, value, label)
        return
    if getattr(value.dtype, "hasobject", False) and value.dtype.names is None:
        walk.write("object array", repr(value.shape))
        walk.value(value.ravel().tolist(), label, is_deep)
        return
    if origin_of_class(cls) is not Origin.BY_NAME:
        walk.value(cls, label, is_deep)
        write_attributes(walk, instance_attributes(value), label, False)
    elif cls.__module__.startswith("numpy.ma"):
        walk.value(value.mask, label, is_deep)
    walk.defer(value, label)


def is_constant_type(cls: type) -> bool:
    """Whether `cls` is a number or type of numpy, or a type, shape or operator of torch."""
    import numpy as np

    if issubclass(cls, np.generic | np.dtype):
        return True
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    kinds = tuple(getattr(torch, name) for name in _TORCH_CONSTANTS if isinstance(getattr(torch, name, None), type))
    return issubclass(cls, kinds) or cls.__module__ == "torch._ops"


def write_constant(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write the type and value of a constant, whose text has no addresses in torch and numpy."""
    import numpy as np

    if isinstance(value, np.generic) and value.dtype == object:
        walk.value(value.item(), label, is_deep)
    elif isinstance(value, np.generic):
        walk.write("numpy", str(value.dtype).encode() + b" " + value.tobytes())
    elif isinstance(value, np.dtype):
        walk.write("numpy dtype", repr(value.descr if value.names else value.str))
    else:
        walk.write("torch constant", f"{type(value).__qualname__} {value}")


def _flattened(walk: Walk, value: Any, label: str) -> None:
    """Write a tensor that consists of other tensors, such as a quantized or distributed one."""
    names, context = value.__tensor_flatten__()
    walk.write("flattened", name_of_class(type(value)))
    walk.value(type(value), label, True)
    walk.value(tuple(value.shape), label, True)
    walk.value(context, label, False)
    for name in names:
        walk.write("name", name)
        walk.value(getattr(value, name), f"{label}.{name}", True)
