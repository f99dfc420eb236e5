"""What onnxruntime can run on a CPU: the graph in float32, and with weights in int8."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from bento_monitor.serving_config import BackendName

from .facts import SpaceFacts
from .recipe import (
    MATRIX_OPS,
    WEIGHTED_OPS,
    CalibrationMethod,
    DynamicInt8,
    Family,
    FamilySpace,
    Recipe,
    StaticInt8,
    WeightOnly,
    cut,
    only,
)

Scope = Literal["all", "layers"]
"""Which operators are quantized: all that have kernels, or only those with weights."""
OPS_OF_ATTENTION = {"MatMul", "Softmax", "Transpose"}
_CALIBRATION_SAMPLES = 100
_MIN_CALIBRATION_SAMPLES = 8
_BLOCK_SIZE = 128
# Histograms need tensors of one shape, so rows of unequal length are padded, which needs a mask.
_HISTOGRAM_METHODS: tuple[CalibrationMethod, ...] = ("percentile", "entropy")
_METHODS: tuple[CalibrationMethod, ...] = ("minmax", "percentile", "moving-average", "entropy")


def onnx_space(facts: SpaceFacts) -> FamilySpace:
    """Return the families of the backend onnxruntime; without a graph, only float32, whose build says why."""
    space = only(Family((Recipe("onnxruntime", "fp32"),)))
    if facts.runner_kind == "estimator":
        return space + cut("onnxruntime int8", "an estimator has no weights to quantize")
    if not facts.graph_ops:
        return space + cut("onnxruntime int8", "there is no float32 graph to quantize")
    space += _dynamic_space(facts) + _static_space(facts) + _weight_only_space(facts)
    if facts.runner_kind == "torch" and facts.graph_ops >= OPS_OF_ATTENTION:
        space += _fused_space(facts)
    return space


def _dynamic_space(facts: SpaceFacts) -> FamilySpace:
    if not facts.graph_ops & {*MATRIX_OPS, "Attention", "LSTM"}:
        return cut("onnxruntime int8-dynamic", "the graph has no MatMul, Gemm, Attention or LSTM")
    if not facts.graph_ops & {"Conv", "ConvTranspose"}:
        return only(_dynamic("int8-dynamic-per-channel")) + only(_dynamic("int8-dynamic-per-tensor"))
    # Dynamically quantized convolutions run five times slower than in float32: only the other layers are quantized.
    slow = "convolutions with activations quantized at run time are several times slower than in float32"
    precision = "int8-dynamic-per-channel-matmul"
    return only(
        Family((Recipe("onnxruntime", precision, DynamicInt8(is_per_channel=True, op_types=MATRIX_OPS)),))
    ) + cut("onnxruntime int8-dynamic of convolutions", slow)


def _dynamic(precision: str) -> Family:
    return Family((Recipe("onnxruntime", precision, DynamicInt8(precision == "int8-dynamic-per-channel")),))


def _fused_space(facts: SpaceFacts) -> FamilySpace:
    """Return the float32 graph and those of dynamic int8 anew, with each attention as one operator."""
    base = only(Family((Recipe("onnxruntime", "fp32"),))) + _dynamic_space(facts)
    fused = [replace(recipe, precision=f"{recipe.precision}-fused", is_fused=True) for recipe in base.recipes]
    return FamilySpace(tuple(Family((recipe,)) for recipe in fused))


def _weight_only_space(facts: SpaceFacts) -> FamilySpace:
    if "MatMul" not in facts.graph_ops:
        return cut("onnxruntime weights in 8 and 4 bits", "the graph has no MatMul")
    space = FamilySpace()
    for bits in (8, 4):
        precision = f"weights-int{bits}-{_BLOCK_SIZE}"
        space += only(Family((Recipe("onnxruntime", precision, WeightOnly(bits, _BLOCK_SIZE)),)))
    return space


def _static_space(facts: SpaceFacts) -> FamilySpace:
    space = static_cuts("onnxruntime int8-static", facts)
    for scope in static_scopes(facts):
        space += only(static_family("onnxruntime", scope, facts))
    return space


def static_cuts(what: str, facts: SpaceFacts) -> FamilySpace:
    """Return what rules cut from static quantization."""
    if not facts.graph_ops & set(WEIGHTED_OPS):
        return cut(what, "the graph has no Conv, MatMul or Gemm")
    if facts.choosing_samples < _MIN_CALIBRATION_SAMPLES:
        return cut(what, f"scales from fewer than {_MIN_CALIBRATION_SAMPLES} samples would be chance")
    if facts.has_varying_axes and not facts.has_mask:
        return cut(
            f"{what} by percentile and entropy",
            "the inputs have unequal shapes, which histograms cannot join without a mask to pad by",
        )
    return FamilySpace()


def static_scopes(facts: SpaceFacts) -> tuple[Scope, ...]:
    """Return which operators static quantization is worth trying on, each a family."""
    has_weights = bool(facts.graph_ops & set(WEIGHTED_OPS))
    return ("all", "layers") if has_weights and facts.choosing_samples >= _MIN_CALIBRATION_SAMPLES else ()


def static_family(backend: BackendName, scope: Scope, facts: SpaceFacts) -> Family:
    """Return the statically quantized graphs of a scope, by method of calibration."""
    samples = min(_CALIBRATION_SAMPLES, facts.choosing_samples)
    op_types = None if scope == "all" else WEIGHTED_OPS
    is_signed = facts.multiplies_signed
    has_histograms = facts.has_mask or not facts.has_varying_axes
    methods = [method for method in _METHODS if has_histograms or method not in _HISTOGRAM_METHODS]
    return Family(
        tuple(
            Recipe(
                backend,
                f"int8-static-{scope}-{method}-{samples}",
                StaticInt8(method, samples, is_signed=is_signed, op_types=op_types),
            )
            for method in methods
        )
    )
