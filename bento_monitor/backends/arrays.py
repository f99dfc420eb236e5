"""Torch tensors and numpy arrays alike: torch is never imported for a process that does not use it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def is_torch_tensor(value: object) -> bool:
    """Whether `value` is a tensor of torch; False where nobody has imported torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: object) -> bool:
    """Whether `value` is a tensor of torch or an array of numpy."""
    import numpy as np

    return isinstance(value, np.ndarray) or is_torch_tensor(value)


def dtype_name(array: Any) -> str:
    """The element type by the name that numpy and torch share: `float32`, `int64`, `bool`."""
    return str(array.dtype).removeprefix("torch.")


def to_numpy(array: Any) -> NDArray[Any]:
    """The array as numpy has it; a tensor in the CPU's memory is shared, not copied."""
    import numpy as np

    if is_torch_tensor(array):
        array = array.detach().cpu()
        if dtype_name(array) == "bfloat16":  # numpy has no such type
            array = array.float()
        return np.asarray(array.numpy())
    return np.asarray(array)


def to_torch(array: Any, device: Any | None = None) -> Any:
    """The array as a torch tensor, its memory shared where torch can; on `device`, if one is given."""
    import torch

    if not is_torch_tensor(array):
        array = torch.from_numpy(array if array.flags.writeable else array.copy())
    return array if device is None else array.to(device)


def inference_mode() -> AbstractContextManager[Any]:
    """torch's inference mode where torch is imported; else nothing."""
    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.inference_mode()


def device_of(arrays: Iterable[Any]) -> Any | None:
    """Where the first tensor of torch among the arrays lies; None where none is torch's."""
    return next((array.device for array in arrays if is_torch_tensor(array)), None)


def take_rows(array: Any, rows: NDArray[np.int64]) -> Any:
    """The given rows of an array, copied, in the kind of the array."""
    return array[_index_for(array, rows)]


def put_rows(target: Any, rows: NDArray[np.int64], values: Any) -> None:
    """Write `values` into the given rows of `target`, which is an array of the same kind."""
    target[_index_for(target, rows)] = values


def empty_like_rows(part: Any, row_count: int) -> Any:
    """An unfilled array of `row_count` rows that are like those of `part`."""
    import numpy as np

    shape = (row_count, *part.shape[1:])
    return part.new_empty(shape) if is_torch_tensor(part) else np.empty(shape, dtype=part.dtype)


def _index_for(array: Any, rows: NDArray[np.int64]) -> Any:
    if is_torch_tensor(array):
        import torch

        return torch.from_numpy(rows).to(array.device)
    return rows
