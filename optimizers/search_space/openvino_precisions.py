"""What OpenVINO can run on a CPU: the float32 graph, computed in float32 or bf16, and quantized graphs."""

from __future__ import annotations

from bento_monitor.extras import install_command

from .facts import SpaceFacts
from .onnx_precisions import static_family, static_scopes
from .recipe import MATRIX_OPS, Family, FamilySpace, GroupedInt8, Recipe, cut, only

_SMALL_GROUP = 64


def openvino_space(facts: SpaceFacts) -> FamilySpace:
    """Return the families of the backend openvino."""
    if facts.runner_kind == "estimator":
        return cut("openvino", "it has no operators for estimators")
    if not facts.has_openvino:
        return cut("openvino", f"it is not installed: {install_command('openvino')}")
    if facts.device != "cpu":
        return cut("openvino", "the model is on a GPU that OpenVINO does not use")
    if not facts.graph_ops:
        return cut("openvino", "there is no float32 graph to run")
    space = only(Family((Recipe("openvino", "fp32"),)))
    if facts.has_bf16:
        space += only(Family((Recipe("openvino", "bf16"),)))
    else:
        space += cut("openvino bf16", "this CPU has neither AVX512-BF16 nor AMX-BF16")
    for scope in static_scopes(facts):
        space += only(static_family("openvino", scope, facts))
    return space + _grouped_space(facts)


def _grouped_space(facts: SpaceFacts) -> FamilySpace:
    """Return int8 weights with activations rounded at run time; what is not rounded is computed in bf16 if it can be.

    Smaller groups lose less, and are slower.
    """
    if not facts.graph_ops & set(MATRIX_OPS):
        return cut("openvino int8-grouped", "the graph has no MatMul or Gemm")
    end = "-bf16" if facts.has_bf16 else ""
    return only(
        Family(
            (
                Recipe("openvino", f"int8-grouped{end}", GroupedInt8()),
                Recipe("openvino", f"int8-grouped-{_SMALL_GROUP}{end}", GroupedInt8(_SMALL_GROUP)),
            )
        )
    )
