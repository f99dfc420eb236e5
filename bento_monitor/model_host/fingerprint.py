"""A hash that changes when a model's weights or code change."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from typing import Any

from ..backends.arrays import to_numpy
from ..backends.own import OwnModel, OwnOnnxFile
from ..files import sha256_of
from ..releases.record import TensorSpec


def fingerprint(own: OwnModel, inputs: Sequence[TensorSpec]) -> str:
    """The SHA-256 over a model's weights, its structure, the source of its classes, and the axes of its inputs.

    Functions that a module's classes call are not in it, so what is looked up by it must still be checked for parity.
    """
    digest = hashlib.sha256(repr([(spec.name, spec.dtype, spec.shape) for spec in inputs]).encode())
    if isinstance(own, OwnOnnxFile):
        digest.update(sha256_of(own.path).encode())
    else:
        _add_module(digest, own.model)
    return digest.hexdigest()


def _add_module(digest: Any, module: Any) -> None:
    digest.update(repr(module).encode())
    classes = {f"{type(part).__module__}.{type(part).__qualname__}": type(part) for part in module.modules()}
    for name, cls in sorted(classes.items()):
        digest.update(f"{name}\n{_source(cls)}".encode())
    for name, tensor in sorted(module.state_dict().items()):
        array = to_numpy(tensor)
        digest.update(f"{name} {tensor.dtype} {array.shape}".encode())
        digest.update(array.tobytes())


def _source(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        return ""
