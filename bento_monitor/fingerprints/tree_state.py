"""The modules and tensors that a model consisted of at some time, to notice a change without hashing."""

from __future__ import annotations

from collections.abc import Iterator
from operator import is_
from typing import Any

from .modules import is_script_type, modules_of

_Named = tuple[dict[str, Any], tuple[str, ...], tuple[Any, ...]]
_Seen = tuple[Any, int, int]


class TreeState:
    """The identities of a model's modules and tensors, and torch's count of the writes to each tensor.

    torch does not count writes through `tensor.data` or through a numpy array that shares the memory.
    """

    def __init__(self, root: Any) -> None:
        self._trees: list[_Named] = []
        self._modes: list[tuple[dict[str, Any], Any]] = []
        self._named: list[_Named] = []
        self._scripts: list[tuple[Any, list[Any]]] = []
        tensors: dict[int, Any] = {}
        for _, module in modules_of(root):
            if is_script_type(type(module)):
                own = list(_tensors_of_script(module))
                self._scripts.append((module, own))
            else:
                own = self._add(module)
            tensors.update((id(tensor), tensor) for tensor in own if tensor is not None)
        self._tensors: list[_Seen] = [(tensor, _version(tensor), _address(tensor)) for tensor in tensors.values()]

    def has_same_tree(self) -> bool:
        """Whether every module still has the same children and the same `training` mode."""
        return all(mode.get("training") is was for mode, was in self._modes) and all(map(_is_same, self._trees))

    def is_same(self) -> bool:
        """Whether modules and tensors are still the same objects, and no tensor was written to."""
        return (
            self.has_same_tree()
            and all(map(_is_same, self._named))
            and all(_version(tensor) == version and _address(tensor) == at for tensor, version, at in self._tensors)
            and all(_is_same_script(module, tensors) for module, tensors in self._scripts)
        )

    def _add(self, module: Any) -> list[Any]:
        own = module.__dict__
        self._modes.append((own, own.get("training")))
        self._trees.append(_named(own["_modules"]))
        found = [_named(own["_parameters"]), _named(own["_buffers"])]
        self._named += found
        return [tensor for _, _, values in found for tensor in values]


def _named(values: dict[str, Any]) -> _Named:
    return values, tuple(values), tuple(values.values())


def _is_same(named: _Named) -> bool:
    values, names, were = named
    return len(values) == len(names) and all(map(is_, values.values(), were)) and tuple(values) == names


def _is_same_script(module: Any, were: list[Any]) -> bool:
    now = list(_tensors_of_script(module))
    return len(now) == len(were) and all(map(is_, now, were))


def _tensors_of_script(module: Any) -> Iterator[Any]:
    yield from module.parameters()
    yield from module.buffers()


def _version(tensor: Any) -> int:
    try:
        return int(tensor._version)  # noqa: SLF001
    except RuntimeError:  # an inference tensor, whose writes torch does not count
        return -1


def _address(tensor: Any) -> int:
    try:
        return int(tensor.data_ptr())
    except (RuntimeError, NotImplementedError, ValueError):  # sparse, meta, lazy
        return -1
