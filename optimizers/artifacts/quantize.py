"""Quantization of a float32 graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..search_space.recipe import WEIGHTED_OPS, Quantization
from .calibration_inputs import CalibrationInputs
from .child import TIMEOUT_S, run_in_child, serve_child
from .graph import write_named
from .grouped import group_weights
from .inner_values import types_with_extremes

_PERCENTILE = 99.99
_INT8_PRODUCTS = 4  # onnxruntime's accuracy level at which activations are rounded to int8 for the products


def quantize(
    source: Path,
    target: Path,
    quantization: Quantization,
    *,
    calibration: Path | None = None,
    reduces_range: bool = False,
    memory_limit_bytes: int | None = None,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Write `target`, the graph of `source` with weights in few bits.

    Static quantization is calibrated on the model inputs in `calibration`. Where it fails, there is no `target`: a step
    may be stopped after it wrote its graph.

    Raises:
        ArtifactError: the quantization failed, or exceeded its memory or time limit.
    """
    name = type(quantization).__name__
    settings = {
        "source": str(source.resolve()),
        "target": str(target.resolve()),
        "quantization": name,
        **asdict(quantization),
        "calibration": None if calibration is None else str(calibration.resolve()),
        "reduces_range": reduces_range,
    }
    try:
        run_in_child(
            "optimizers.artifacts.quantize",
            f"Quantization ({name})",
            settings,
            memory_limit_bytes=memory_limit_bytes,
            timeout_s=timeout_s,
        )
    except BaseException:  # also Ctrl-C
        target.unlink(missing_ok=True)
        raise


def prepared(source: Path, *, is_static: bool) -> Path:
    """Return the graph that is quantized, written to the current folder: every node has a name.

    For static quantization, shapes are inferred and constants folded, as far as onnxruntime can.
    """
    named = Path("named.onnx").resolve()
    write_named(source, named)
    if not is_static:
        return named
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folded = Path("folded.onnx").resolve()
    try:
        quant_pre_process(str(named), str(folded), skip_symbolic_shape=True)
    except Exception:  # quantization works without it, but gives more nodes
        return named
    return folded


def _quantize(settings: dict[str, Any]) -> None:
    _KINDS[settings["quantization"]](settings)


def _quantize_weights(settings: dict[str, Any]) -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        str(prepared(Path(settings["source"]), is_static=False)),
        nodes_to_exclude=settings["excluded"],
        algo_config=DefaultWeightOnlyQuantConfig(
            bits=settings["bits"],
            block_size=settings["block_size"],
            is_symmetric=True,
            accuracy_level=_INT8_PRODUCTS,
        ),
    )
    quantizer.process()
    quantizer.model.save_model_to_file(settings["target"], use_external_data_format=False)


def _quantize_dynamic(settings: dict[str, Any]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(prepared(Path(settings["source"]), is_static=False)),
        settings["target"],
        op_types_to_quantize=settings["op_types"],
        nodes_to_exclude=settings["excluded"],
        per_channel=settings["is_per_channel"],
        reduce_range=settings["reduces_range"],
        weight_type=QuantType.QInt8,
    )


def _quantize_static(settings: dict[str, Any]) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    method = settings["method"]
    options: dict[str, Any] = {"CalibMovingAverage": method == "moving-average"}
    if method == "percentile":
        options["CalibPercentile"] = _PERCENTILE
    if settings["op_types"] is not None:  # products of two activations, as in attention, stay in float
        options["MatMulConstBOnly"] = True
    histograms = {"percentile": CalibrationMethod.Percentile, "entropy": CalibrationMethod.Entropy}
    graph = prepared(Path(settings["source"]), is_static=True)
    quantize_static(
        str(graph),
        settings["target"],
        CalibrationInputs(Path(settings["calibration"]), graph, is_padded=method in histograms),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=settings["op_types"] or _types_with_scales(graph, Path(settings["calibration"])),
        nodes_to_exclude=settings["excluded"],
        per_channel=settings["is_per_channel"],
        reduce_range=settings["reduces_range"],
        activation_type=QuantType.QInt8 if settings["is_signed"] else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=histograms.get(method, CalibrationMethod.MinMax),
        extra_options=options,
    )


def _types_with_scales(graph: Path, calibration: Path) -> list[str]:
    """Return the types of operators that static quantization has kernels for and whose numbers fit into a scale.

    One number of -1e9, as masks add, would round all others to zero, and an infinite one has no scale.
    """
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    types = {*QDQRegistry, *QLinearOpsRegistry}
    return sorted(types - types_with_extremes(graph, calibration, types - {*WEIGHTED_OPS}))


def _quantize_by_groups(settings: dict[str, Any]) -> None:
    import onnx

    model = onnx.load(prepared(Path(settings["source"]), is_static=False))
    group_weights(model, settings["excluded"], settings["largest_group"])
    onnx.save(model, settings["target"])


_KINDS: dict[str, Callable[[dict[str, Any]], None]] = {
    "DynamicInt8": _quantize_dynamic,
    "GroupedInt8": _quantize_by_groups,
    "StaticInt8": _quantize_static,
    "WeightOnly": _quantize_weights,
}


if __name__ == "__main__":
    serve_child(_quantize)
