"""Whether a release can take a call: each argument's name, rank, shape, element type and device, before anything
runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..releases.release_record import TensorSpec
from ._base import UnboundCallError
from .arrays import dtype_name, is_torch_tensor


class CallCheck:
    """Compares named arguments with the specs of a release.

    What differs is run by the user's own model, which may well answer it: a graph exported for sequences of length 8
    cannot answer one of length 12, and one of float32 would answer float64 otherwise than the model does.
    """

    def __init__(self, specs: Sequence[TensorSpec], device: Any | None) -> None:
        """`device` is where the own model's parameters lie; None where it has none, or is no module."""
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
        """Raise UnboundCallError, with its reason, for the first argument that is not as in the specs."""
        if inputs.keys() != self._names:
            raise UnboundCallError(f"it is for the arguments {sorted(self._names)}, not {sorted(inputs)}", "name")
        for name, dtype, rank, fixed in self._expected:
            value = inputs[name]
            shape = getattr(value, "shape", None)
            if shape is None or not hasattr(value, "dtype"):
                raise UnboundCallError(f"{name} is a {type(value).__name__}, not an array", "dtype")
            if self._dtype_name(value) != dtype:
                raise UnboundCallError(f"{name} is of {self._dtype_name(value)}, not {dtype}", "dtype")
            if len(shape) != rank:
                raise UnboundCallError(f"{name} has {len(shape)} axes, not {rank}", "rank")
            for axis, length in fixed:
                if shape[axis] != length:
                    raise UnboundCallError(f"{name} has the length {shape[axis]} in axis {axis}, not {length}", "shape")
            if is_torch_tensor(value):
                self._check_tensor(name, value)

    def _check_tensor(self, name: str, value: Any) -> None:
        if self._device is not None and value.device != self._device:
            raise UnboundCallError(f"{name} lies on {value.device}, not on {self._device}", "device")
        if value.requires_grad and sys.modules["torch"].is_grad_enabled():
            raise UnboundCallError(f"{name} asks for gradients, which a release does not give", "gradient")

    def _dtype_name(self, value: Any) -> str:
        dtype = value.dtype
        known = self._dtype_names.get(dtype)
        if known is None:
            known = self._dtype_names[dtype] = dtype_name(value)
        return known
