"""A torch tensor as bytes in memory, for any layout, element type and device."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from ..errors import ReleaseError

_SPARSE = {
    "torch.sparse_coo": ("_indices", "_values"),
    "torch.sparse_csr": ("crow_indices", "col_indices", "values"),
    "torch.sparse_csc": ("ccol_indices", "row_indices", "values"),
    "torch.sparse_bsr": ("crow_indices", "col_indices", "values"),
    "torch.sparse_bsc": ("ccol_indices", "row_indices", "values"),
}


def as_plain_tensors() -> AbstractContextManager[None]:
    """Return a context in which tensor subclasses are read as plain tensors, without calling `__torch_function__`."""
    import torch

    guard: AbstractContextManager[None] = torch._C.DisableTorchFunctionSubclass()  # noqa: SLF001
    return guard


def tensor_parts(tensor: Any) -> list[tuple[str, Any]]:
    """Return a tensor's description and flat bytes: an array on the tensor's memory, or a byte tensor on a GPU.

    `requires_grad` and the device are not part of the description.

    Raises:
        ReleaseError: the tensor has no values yet: it is on the device `meta`, or a lazy parameter.
    """
    import torch

    if isinstance(tensor, torch.nn.UninitializedParameter | torch.nn.UninitializedBuffer):
        raise ReleaseError("is a lazy parameter without values: call the model once before wrapping it.")
    if tensor.is_meta or type(tensor).__name__ == "FakeTensor":
        raise ReleaseError("is on the device meta, without values: load the weights before wrapping the model.")
    tensor = tensor.detach()
    name = f"torch {tensor.dtype} {tuple(tensor.shape)} {tensor.layout}"
    if tensor.is_nested:
        parts = [part for item in tensor.unbind() for part in tensor_parts(item)]
        return [(f"nested {name}", b""), *parts]
    if tensor.is_quantized:
        return _quantized(name, tensor)
    if str(tensor.layout) in _SPARSE:
        inner = [(accessor, getattr(tensor, accessor)()) for accessor in _SPARSE[str(tensor.layout)]]
        return [(name, b""), *((f"{accessor} {key}", data) for accessor, t in inner for key, data in tensor_parts(t))]
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    return [(name, _flat(tensor))]


def _quantized(name: str, tensor: Any) -> list[tuple[str, Any]]:
    import torch

    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return [
            (f"{name} {tensor.qscheme()} {float(tensor.q_scale()).hex()} {tensor.q_zero_point()}", b""),
            *tensor_parts(tensor.int_repr()),
        ]
    return [
        (f"{name} {tensor.qscheme()} {tensor.q_per_channel_axis()}", b""),
        *tensor_parts(tensor.q_per_channel_scales()),
        *tensor_parts(tensor.q_per_channel_zero_points()),
        *tensor_parts(tensor.int_repr()),
    ]


def _flat(tensor: Any) -> Any:
    import torch

    tensor = tensor.resolve_conj().resolve_neg()
    if tensor.numel() == 0:
        return b""
    if not tensor.is_contiguous():
        tensor = tensor.cpu().contiguous()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    flat = tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8)  # a dimension of one may have any stride
    return flat.numpy() if flat.device.type == "cpu" else flat
