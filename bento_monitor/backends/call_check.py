"""The check of a call before it runs: whether the release takes each argument's name, rank, shape, type and device."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..releases.release_record import TensorSpec
from ._base import UnboundCallError
from .arrays import dtype_name, is_torch_tensor


class CallCheck:
    """Compares named arguments with the specs of a release.

    The user's own model runs a call that differs, and may well answer it: a graph exported for sequences of length 8
    cannot answer one of length 12, and a float32 graph would answer float64 differently from the model.
    """

    def __init__(self, specs: Sequence[TensorSpec], device: Any | None) -> None:
        """`device` is that of the own model's parameters; None if it has none, or is not a torch module."""
        self._names = {spec.name for spec in specs}
        self._expected = [
            (
                spec.name,
                spec.dtype,
                len(spec.shape),
                [(axis, length) for axis, length in enumerate(spec.shape) if length is not None],
            )
            for spec in specs
        ]
        self._device = device
        self._dtype_names: dict[Any, str] = {}

    def __call__(self, inputs: Mapping[str, Any]) -> None:
        """Raise UnboundCallError, with its reason, for the first argument that does not match the specs."""
        if inputs.keys() != self._names:
            raise UnboundCallError(f"it takes the arguments {sorted(self._names)}, not {sorted(inputs)}", "name")
        for name, dtype, rank, fixed in self._expected:
            value = inputs[name]
            shape = getattr(value, "shape", None)
            if shape is None or not hasattr(value, "dtype"):
                raise UnboundCallError(f"{name} is a {type(value).__name__}, not an array", "dtype")
            if self._dtype_name(value) != dtype:
                raise UnboundCallError(f"{name} has the type {self._dtype_name(value)}, not {dtype}", "dtype")
            if len(shape) != rank:
                raise UnboundCallError(f"{name} has {len(shape)} axes, not {rank}", "rank")
            for axis, length in fixed:
                if shape[axis] != length:
                    raise UnboundCallError(f"{name} has the length {shape[axis]} in axis {axis}, not {length}", "shape")
            if is_torch_tensor(value):
                self._check_tensor(name, value)

    def _check_tensor(self, name: str, value: Any) -> None:
        if self._device is not None and value.device != self._device:
            raise UnboundCallError(f"{name} is on {value.device}, not on {self._device}", "device")
        if value.requires_grad and sys.modules["torch"].is_grad_enabled():
            raise UnboundCallError(f"{name} requires gradients, which a release does not compute", "gradient")

    def _dtype_name(self, value: Any) -> str:
        dtype = value.dtype
        known = self._dtype_names.get(dtype)
        if known is None:
            known = self._dtype_names[dtype] = dtype_name(value)
        return known
