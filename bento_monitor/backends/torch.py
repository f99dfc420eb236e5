"""The torch backend: the user's own module, eager, without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ..errors import ReleaseError
from ..releases.release_record import TensorSpec
from ..serving_config import Execution
from .arrays import dtype_name, to_torch
from .outputs import flatten_output


class TorchBackend:
    """The user's module with the threads and precision of a release; the weights are the module's own, not a copy.

    torch keeps its number of threads partly per process and partly per thread, so the number is set before each call
    and restored after it; another model of the process that runs at that moment may use this model's number.
    """

    def __init__(self, module: Any, execution: Execution, *, outputs: Sequence[TensorSpec]) -> None:
        """Raise ReleaseError if the backend does not support the precision."""
        if execution.precision not in ("fp32", "bf16"):
            raise ReleaseError(f"The torch backend runs fp32 and bf16, not {execution.precision}.")
        self._module = module
        self._threads = execution.intra_op_threads
        self._is_bf16 = execution.precision == "bf16"
        self._dtypes = [spec.dtype for spec in outputs]
        parameter = next(iter(module.parameters()), None)
        self._device = "cpu" if parameter is None else parameter.device.type

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Call the module; the outputs are torch tensors of the element types that the module itself returns.

        Gradients are off, but not by inference mode: its tensors cannot be written to outside of it, which the user's
        own code may do.
        """
        import torch

        tensors = {name: to_torch(value) for name, value in inputs.items()}
        with _threads(self._threads), torch.no_grad(), self._precision():
            output = self._module(**tensors)
        _, _, values = flatten_output(output)
        return [
            value if dtype_name(value) == dtype else value.to(getattr(torch, dtype))
            for value, dtype in zip(values, self._dtypes, strict=True)
        ]

    def _precision(self) -> AbstractContextManager[Any]:
        import torch

        return torch.autocast(self._device, dtype=torch.bfloat16) if self._is_bf16 else nullcontext()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
