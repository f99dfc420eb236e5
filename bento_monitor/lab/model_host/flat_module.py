"""A user's module as a module from positional tensors to a tuple of tensors, as exporters need it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...backends.outputs import flatten_output
from ...releases.release_record import TensorSpec


def original_module(module: Any) -> Any:
    """Return the module that `torch.compile` wraps; any other module unchanged."""
    return getattr(module, "_orig_mod", module)


@contextmanager
def flat_module(module: Any, inputs: Sequence[TensorSpec]) -> Iterator[Any]:
    """Wrap the module for the block, with its inputs in the order of `inputs`; its mode is the same after the block.

    `torch.onnx.export` with `dynamo=False` restores the mode of the exported module recursively: without `.eval()`, the
    wrapper would leave the user's module in training mode. So the wrapper gets `.eval()`, and each part's mode is
    restored.
    """
    import torch

    class FlatModule(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: Any) -> Any:
            output = self.module(**dict(zip([spec.name for spec in inputs], tensors, strict=True)))
            arrays = flatten_output(output)[2]
            return arrays[0] if len(arrays) == 1 else tuple(arrays)

    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]
    try:
        with torch.no_grad():
            yield FlatModule().eval()
    finally:
        for part, mode in modes:
            part.training = mode
