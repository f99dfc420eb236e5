"""The torch backend: the user's own module, or a copy with converted weights, eager and without gradients."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from ..errors import ReleaseError
from ..releases.release_record import TensorSpec
from ..serving_config import Execution
from .arrays import dtype_name, to_torch
from .outputs import flatten_output

_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a precision is run: by autocast to a type, or by a copy whose weights have a type or a memory layout."""

    autocast: str | None = None
    weights: str | None = None
    is_channels_last: bool = False
    has_tf32: bool = False

    @property
    def needs_copy(self) -> bool:
        return self.weights is not None or self.is_channels_last


_PLANS = {
    "fp32": _Plan(),
    "fp32-channels-last": _Plan(is_channels_last=True),
    "tf32": _Plan(has_tf32=True),
    "bf16": _Plan(autocast="bfloat16"),
    "bf16-weights": _Plan(weights="bfloat16"),
    "bf16-weights-channels-last": _Plan(weights="bfloat16", is_channels_last=True),
    "fp16-weights": _Plan(weights="float16"),
    "fp16-weights-channels-last": _Plan(weights="float16", is_channels_last=True),
}


class TorchBackend:
    """The user's module with the threads and precision of a release.

    With "fp32", "tf32" and "bf16", the weights are the module's own; the other precisions run a copy of the module.
    torch keeps its number of threads partly per process and partly per thread, so the number is set before each call
    and restored after it; another model of the process that runs at that moment may use this model's number.
    """

    def __init__(self, module: Any, execution: Execution, *, outputs: Sequence[TensorSpec]) -> None:
        """Raise ReleaseError if the backend does not support the precision, or if the module cannot be copied."""
        plan = _PLANS.get(execution.precision)
        if plan is None:
            raise ReleaseError(f"The torch backend runs {', '.join(_PLANS)}, not {execution.precision}.")
        self._plan = plan
        self._module = _converted(module, plan) if plan.needs_copy else module
        self._threads = execution.intra_op_threads
        self._dtypes = [spec.dtype for spec in outputs]
        parameter = next(iter(module.parameters()), None)
        self._device = "cpu" if parameter is None else parameter.device.type

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Call the module; the outputs are torch tensors of the element types that the module itself returns.

        Gradients are off, but not by inference mode: its tensors cannot be written to outside of it, which the user's
        own code may do.
        """
        import torch

        tensors = {name: self._input(to_torch(value)) for name, value in inputs.items()}
        with _THREADS.changed(self._threads), torch.no_grad(), self._precision():
            output = self._module(**tensors)
        _, _, values = flatten_output(output)
        return [self._output(value, dtype) for value, dtype in zip(values, self._dtypes, strict=True)]

    def _input(self, tensor: Any) -> Any:
        import torch

        plan = self._plan
        if plan.weights is not None and dtype_name(tensor) in _FLOATS:
            tensor = tensor.to(getattr(torch, plan.weights))
        if plan.is_channels_last and tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    def _output(self, value: Any, dtype: str) -> Any:
        import torch

        if dtype_name(value) != dtype:
            value = value.to(getattr(torch, dtype))
        return value.contiguous() if self._plan.is_channels_last else value

    @property
    def weights(self) -> list[Any]:
        """The tensors that calls read: parameters and buffers."""
        return [*self._module.parameters(), *self._module.buffers()]

    def _precision(self) -> AbstractContextManager[Any]:
        import torch

        if self._plan.has_tf32:
            return _MATMUL_PRECISION.changed("high")
        name = self._plan.autocast
        return nullcontext() if name is None else torch.autocast(self._device, dtype=getattr(torch, name))


def _converted(module: Any, plan: _Plan) -> Any:
    """Return a copy of the module in the plan's type and layout.

    Raises:
        ReleaseError: the module cannot be copied, or has weights that the type cannot hold.
    """
    import torch

    if plan.weights is not None and any(tensor.is_complex() for tensor in (*module.parameters(), *module.buffers())):
        raise ReleaseError(f"The model has complex weights, which {plan.weights} cannot hold.")
    try:
        copied = copy.deepcopy(module)
        if plan.weights is not None:
            copied = copied.to(getattr(torch, plan.weights))
        if plan.is_channels_last:
            copied = copied.to(memory_format=torch.channels_last)
    except Exception as error:  # such as a lock or an open file in the module
        raise ReleaseError(f"The model cannot be copied, so its weights cannot be converted: {error!r}.") from error
    return copied


class _Setting:
    """A setting of torch that calls change while they run.

    Calls in other threads may overlap: the value to go back to is that before the first of them, not what another call
    has set. torch keeps a setting per process, so that another model's call at this moment may use it too, and some
    also per thread (`is_per_thread`): then each call goes back by itself, else the last of them.
    """

    def __init__(self, name: str, *, is_per_thread: bool) -> None:
        self._name = name
        self._is_per_thread = is_per_thread
        self._lock = threading.Lock()
        self._calls = 0
        self._own: Any = None

    @contextmanager
    def changed(self, value: Any) -> Iterator[None]:
        """Change the setting for the with block."""
        with self._lock:
            if self._calls == 0:
                self._own = self._read()
            self._calls += 1
            self._write(value)
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if self._is_per_thread or self._calls == 0:
                    self._write(self._own)

    def _read(self) -> Any:
        import torch

        return getattr(torch, f"get_{self._name}")()

    def _write(self, value: Any) -> None:
        import torch

        if self._read() != value:
            getattr(torch, f"set_{self._name}")(value)


_THREADS = _Setting("num_threads", is_per_thread=True)
_MATMUL_PRECISION = _Setting("float32_matmul_precision", is_per_thread=False)
