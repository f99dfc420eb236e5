"""Wrapping of the user's model by its kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import ServiceError
from ._base import OwnModel
from .callable import OwnCallable
from .estimator import OwnEstimator, is_estimator
from .onnx_file import OwnOnnxFile
from .torch_module import OwnModule


def wrap_own_model(model: Any, methods: Sequence[str] | None = None) -> OwnModel:
    """Wrap the user's model for a runner; libraries are looked up, never imported.

    Raises:
        ServiceError: the path is not an ONNX file that can be loaded, the model lacks one of the methods, or nothing in
            the model can be called.
    """
    if isinstance(model, str | os.PathLike):
        return _onnx_file(Path(model), methods)
    if methods is not None:
        _require_methods(model, methods)
        return OwnEstimator(model, methods) if is_estimator(model) else OwnCallable(model, methods)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        return OwnModule(model)
    if is_estimator(model):
        return OwnEstimator(model)
    if callable(model):
        return OwnCallable(model)
    raise ServiceError(
        f"MonitoredRunner: a {type(model).__name__} is not a torch module, the path of an ONNX file, an estimator or a "
        f"callable. Name the methods that compute, as in MonitoredRunner(model, methods={_examples(model)})."
    )


def _onnx_file(path: Path, methods: Sequence[str] | None) -> OwnOnnxFile:
    if methods is not None:
        raise ServiceError(
            f"MonitoredRunner: an ONNX file ({path}) has no methods {list(methods)}: it is called directly, so leave "
            "out `methods`."
        )
    if not path.is_file():
        raise ServiceError(f"MonitoredRunner: there is no file {path}. Pass the path of an ONNX file.")
    return OwnOnnxFile(path)


def _require_methods(model: Any, methods: Sequence[str]) -> None:
    if isinstance(methods, str) or not methods or not all(isinstance(name, str) for name in methods):
        raise ServiceError(f'MonitoredRunner: methods is {methods!r}: give a list of names, as in methods=["encode"].')
    for name in methods:
        if not callable(getattr(model, name, None)):
            raise ServiceError(
                f"MonitoredRunner: a {type(model).__name__} has no method {name!r}. Name methods that it has, as in "
                f"methods={_examples(model)}."
            )


def _examples(model: Any) -> list[str]:
    """Return up to three public methods of the model's class, as examples for a message."""
    names = (name for name in dir(type(model)) if not name.startswith("_") and callable(getattr(type(model), name)))
    return list(names)[:3] or ["encode"]
