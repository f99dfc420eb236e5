"""Functions for torch tensors and numpy arrays alike; torch is never imported in a process that does not use it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def is_torch_tensor(value: object) -> bool:
    """Whether `value` is a torch tensor; False if torch was not imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: object) -> bool:
    """Whether `value` is a torch tensor or a numpy array."""
    import numpy as np

    return isinstance(value, np.ndarray) or is_torch_tensor(value)


def dtype_name(array: Any) -> str:
    """Return the element type by the name that numpy and torch share: `float32`, `int64`, `bool`."""
    return str(array.dtype).removeprefix("torch.")


def to_numpy(array: Any) -> NDArray[Any]:
    """Return the array as a numpy array; the memory of a tensor on the CPU is shared, not copied."""
    import numpy as np

    if is_torch_tensor(array):
        array = array.detach().cpu()
        if dtype_name(array) == "bfloat16":  # numpy has no such type
            array = array.float()
        return np.asarray(array.numpy())
    return np.asarray(array)


def to_torch(array: Any, device: Any | None = None) -> Any:
    """Return the array as a torch tensor, with shared memory where torch allows it; on `device` if given."""
    import torch

    if not is_torch_tensor(array):
        array = torch.from_numpy(array if array.flags.writeable else array.copy())
    return array if device is None else array.to(device)


def inference_mode() -> AbstractContextManager[Any]:
    """Return torch's inference mode if torch is imported, else a context that does nothing."""
    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.inference_mode()


def device_of(arrays: Iterable[Any]) -> Any | None:
    """Return the device of the first torch tensor among the arrays; None if there is none."""
    return next((array.device for array in arrays if is_torch_tensor(array)), None)


def take_rows(array: Any, rows: NDArray[np.int64]) -> Any:
    """Return a copy of the given rows, as the same kind of array."""
    return array[_index_for(array, rows)]


def put_rows(target: Any, rows: NDArray[np.int64], values: Any) -> None:
    """Write `values` into the given rows of `target`, an array of the same kind."""
    target[_index_for(target, rows)] = values


def empty_like_rows(part: Any, row_count: int) -> Any:
    """Return an uninitialized array of `row_count` rows shaped like those of `part`."""
    import numpy as np

    shape = (row_count, *part.shape[1:])
    return part.new_empty(shape) if is_torch_tensor(part) else np.empty(shape, dtype=part.dtype)


def _index_for(array: Any, rows: NDArray[np.int64]) -> Any:
    if is_torch_tensor(array):
        import torch

        return torch.from_numpy(rows).to(array.device)
    return rows
