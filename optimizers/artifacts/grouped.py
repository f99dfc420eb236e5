"""Weights in int8 for OpenVINO, which then rounds each row of the activations by itself, in groups of its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from itertools import combinations_with_replacement
from math import gcd
from typing import TYPE_CHECKING, Any

from bento_monitor.backends.openvino import GROUP_SIZE_KEY

from ..errors import ArtifactError
from .graph import has_transposed_weight, int8_scales

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_STEP = 16  # OpenVINO's kernels take groups of a multiple of it
_COVERED = 0.9


def group_weights(model: onnx.ModelProto, excluded: Collection[str], largest_group: int | None) -> None:
    """Give each product with a matrix of weights these in int8, with a scale for each output, in place.

    The size of the groups is written into the file's metadata. Operators of the names `excluded` stay in float.

    Raises:
        ArtifactError: no groups fit most of the weights, or they are no larger than `largest_group` without it.
    """
    from onnx import helper, numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    products = [
        node
        for node in model.graph.node
        if node.name not in excluded and _is_product(node) and _is_matrix(weights.get(node.input[1]))
    ]
    sizes: Counter[int] = Counter()
    for node in products:
        dims = weights[node.input[1]].dims
        sizes[dims[1 - _output_axis(node)]] += dims[0] * dims[1]
    helper.set_model_props(model, {GROUP_SIZE_KEY: str(group_size(sizes, largest_group))})
    made: dict[tuple[str, int], str] = {}
    for node in products:
        key = node.input[1], _output_axis(node)
        if key not in made:
            made[key] = _add_rounded(model, numpy_helper.to_array(weights[key[0]]), f"{key[0]}_by_{key[1]}", key[1])
        node.input[1] = made[key]
    used = {name for node in model.graph.node for name in node.input} | {each.name for each in model.graph.output}
    for name in {name for name, _ in made} - used:
        model.graph.initializer.remove(weights[name])


def group_size(sizes: Mapping[int, int], largest: int | None) -> int:
    """Return the largest number that divides the lengths of the sums over most of the weights.

    `sizes` has the number of weights by length. Of the divisors of that number, the largest one up to `largest`.

    Raises:
        ArtifactError: there is none, or it is no larger than `largest` without that.
    """
    least = _COVERED * sum(sizes.values())
    candidates = {gcd(*pair) for pair in combinations_with_replacement(sizes, 2)}
    fitting = [
        size
        for size in candidates
        if size % _STEP == 0 and sum(count for length, count in sizes.items() if length % size == 0) >= least
    ]
    if not fitting:
        raise ArtifactError(f"The products with weights have no length in common that is a multiple of {_STEP}.")
    whole = max(fitting)
    if largest is None:
        return whole
    if whole <= largest:
        raise ArtifactError(f"The groups have no more than {largest} numbers already.")
    return max(size for size in range(_STEP, largest + 1, _STEP) if whole % size == 0)


def _is_product(node: onnx.NodeProto) -> bool:
    scales = {"alpha": 1.0, "beta": 1.0}
    return node.op_type == "MatMul" or (
        node.op_type == "Gemm"
        and all(each.f == scales[each.name] for each in node.attribute if each.name in scales)
        and not any(each.name == "transA" and each.i for each in node.attribute)
    )


def _is_matrix(tensor: onnx.TensorProto | None) -> bool:
    import onnx

    return tensor is not None and tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2


def _output_axis(node: onnx.NodeProto) -> int:
    return 0 if has_transposed_weight(node) else 1


def _add_rounded(model: onnx.ModelProto, weight: NDArray[Any], name: str, axis: int) -> str:
    """Add a weight in int8 with its scales; return the name of what gives it back in float."""
    import numpy as np
    from onnx import helper, numpy_helper

    scales = int8_scales(weight, axis)
    rounded = np.round(weight / scales).astype(np.int8)
    model.graph.initializer.append(numpy_helper.from_array(rounded, f"{name}_int8"))
    model.graph.initializer.append(numpy_helper.from_array(scales.ravel(), f"{name}_scales"))
    inputs = [f"{name}_int8", f"{name}_scales"]
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, [f"{name}_float"], axis=axis))
    return f"{name}_float"
