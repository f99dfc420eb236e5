"""Export of torch's attention as one operator of ONNX Runtime, which computes it in blocks, without the whole matrix.

The usual export is a product, a softmax and a product, in which ONNX Runtime's own search for attention finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...errors import BentoMonitorError

OPERATORS = {"com.microsoft": 1}
"""The set of operators that a graph then needs besides those of ONNX."""
_OPERATOR = "com.microsoft::MultiHeadAttention"
_NAME = "aten::scaled_dot_product_attention"
_AXES = 4  # (batch, heads, length, size)
_BY_LENGTH = [0, 2, 1, 3]
_FLOAT = 1  # of onnx.TensorProto


@dataclass(frozen=True, slots=True)
class _Attention:
    """An attention that the model computes: what the graph that is exported may not tell."""

    heads: int
    size: int
    has_bool_mask: bool


@contextmanager
def attention_as_operator(module: Any, tensors: Sequence[Any], opset: int) -> Iterator[None]:
    """Within the block, `torch.onnx.export` of the module, by tracing, writes each attention as one operator.

    Raises:
        BentoMonitorError: called with `tensors`, the module calls no `scaled_dot_product_attention`, or one that the
            operator cannot compute.
    """
    import torch.onnx

    exporter: Any = torch.onnx  # has no types
    found = _attentions(module, tensors)
    if not found:
        raise BentoMonitorError("The model calls no scaled_dot_product_attention, which alone can be fused.")
    exporter.register_custom_op_symbolic(_NAME, _symbolic(iter(found)), opset)
    try:
        yield
    finally:
        exporter.unregister_custom_op_symbolic(_NAME, opset)


def _attentions(module: Any, tensors: Sequence[Any]) -> list[_Attention]:
    """Call the module, and return its attentions in their order."""
    import torch
    from torch.overrides import TorchFunctionMode

    found: list[_Attention] = []

    class Recording(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.nn.functional.scaled_dot_product_attention:
                found.append(_attention_of(*args, **(kwargs or {})))
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Recording():
        module(*tensors)
    return found


def _attention_of(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, *_: Any, **options: Any
) -> _Attention:
    import torch

    of_query, of_key, of_value = (tuple(each.shape) for each in (query, key, value))
    is_alike = of_query[1::2] == of_key[1::2] == of_value[1::2] and not options.get("enable_gqa")
    if len(of_query) != _AXES or not is_alike or query.dtype != torch.float32 or dropout_p:
        raise BentoMonitorError(
            "The model has an attention that onnxruntime's operator does not compute: it takes (batch, heads, length, "
            f"size) in float32, with as many heads of keys as of queries; found: {of_query} and {of_key} in "
            f"{str(query.dtype).removeprefix('torch.')}."
        )
    return _Attention(of_query[1], of_query[3], attn_mask is not None and attn_mask.dtype == torch.bool)


def _symbolic(attentions: Iterator[_Attention]) -> Any:
    from torch.onnx import symbolic_helper

    def attention(
        g: Any,
        query: Any,
        key: Any,
        value: Any,
        mask: Any = None,
        _dropout: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        _enable_gqa: bool = False,
    ) -> Any:
        known = next(attentions)
        inputs = [_joined(g, each, known) for each in (query, key, value)]
        attended = None
        if mask is not None and not mask.node().mustBeNone():
            if known.has_bool_mask:
                attended = _attended(g, mask)
                mask = _as_float(g, mask, attended)
            inputs += [_absent(g), _absent(g), _by_query(g, query, mask)]
        factor = known.size**-0.5 if scale is None else scale
        output = g.op(_OPERATOR, *inputs, num_heads_i=known.heads, scale_f=factor, unidirectional_i=int(is_causal))
        output.setTypeAs(inputs[0])  # nobody else can infer it
        apart = g.op("Reshape", output, _whole(g, 0, -1, known.heads, known.size))
        found = g.op("Transpose", apart, perm_i=_BY_LENGTH)
        return found if attended is None else g.op("Mul", found, attended)

    return symbolic_helper.parse_args("v", "v", "v", "v", "f", "b", "f", "b")(attention)


def _joined(g: Any, heads_apart: Any, known: _Attention) -> Any:
    """Return `(batch, heads, length, size)` as `(batch, length, heads * size)`, which the operator takes."""
    by_length = g.op("Transpose", heads_apart, perm_i=_BY_LENGTH)
    return g.op("Reshape", by_length, _whole(g, 0, -1, known.heads * known.size))


def _attended(g: Any, mask: Any) -> Any:
    """Return 1 for each query that attends to some key, else 0: torch's answer for one that attends to none."""
    as_float = g.op("Cast", mask, to_i=_FLOAT)
    return g.op("ReduceMax", as_float, axes_i=[-1], keepdims_i=1)


def _as_float(g: Any, mask: Any, attended: Any) -> Any:
    """Return what is added to the products: 0 or minus infinity, but never that for all keys of a query (NaN)."""
    import torch

    zero = g.op("Constant", value_t=torch.tensor([0.0]))
    added = g.op("Where", mask, zero, g.op("Constant", value_t=torch.tensor([-float("inf")])))
    return g.op("Where", g.op("Greater", attended, zero), added, zero)


def _by_query(g: Any, query: Any, mask: Any) -> Any:
    """Return a mask as `(1 or batch, 1 or heads, queries, keys)`, which the operator takes."""
    length = g.op("Slice", g.op("Shape", query), _whole(g, 2), _whole(g, 3), _whole(g, 0))
    return g.op("Expand", mask, g.op("Concat", _whole(g, 1, 1), length, _whole(g, 1), axis_i=0))


def _whole(g: Any, *numbers: int) -> Any:
    import torch

    return g.op("Constant", value_t=torch.tensor(numbers, dtype=torch.int64))


def _absent(g: Any) -> Any:
    from torch.onnx import symbolic_opset9

    operators: Any = symbolic_opset9
    return operators.unused(g)
