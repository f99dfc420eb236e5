"""A user's module as one from positional tensors to a tuple of tensors, which is what exporters take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...backends.outputs import flatten_output
from ...releases.release_record import TensorSpec


def original_module(module: Any) -> Any:
    """The module that `torch.compile` was given; any other as it is."""
    return getattr(module, "_orig_mod", module)


@contextmanager
def flat_module(module: Any, inputs: Sequence[TensorSpec]) -> Iterator[Any]:
    """The module, with the names of its inputs in order; its mode is the same after the block.

    `torch.onnx.export` with `dynamo=False` puts what it exports back into its mode recursively: a wrapper that was
    never told `.eval()` leaves the user's module in training mode. So it is told, and each part's mode is put back.
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
