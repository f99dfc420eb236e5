"""Conversion of an estimator to ONNX graphs with all options of the converters of skl2onnx and onnxmltools."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...errors import ServiceError
from .array_estimator import ArrayEstimator
from .columns_graph import type_of, with_one_input
from .estimator_columns import best_of, by_position
from .exporters import reason_of

_OPSETS = {"": 17, "ai.onnx.ml": 3}
_TYPES = {
    "float32": "FloatTensorType",
    "float64": "DoubleTensorType",
    "int64": "Int64TensorType",
    "str": "StringTensorType",
}
_OPTIONS: tuple[Mapping[str, Any], ...] = (
    {"zipmap": False},
    {},
    {"zipmap": False, "raw_scores": True},
    {"raw_scores": True},
    {"score_samples": True},
)


def graphs_of(estimator: ArrayEstimator, dtype: str, features: int, reasons: list[str]) -> Iterator[Any]:
    """Yield the graphs from each of the converters' options; failures are appended to `reasons`.

    All graphs have one array as input; a graph for data frames splits the array into columns.
    """
    columns = None if estimator.frames is None else estimator.frames.columns
    model = best_of(estimator.model) if columns is None else by_position(estimator.model, columns)
    inputs = [("X", dtype, features)]
    if columns is not None:
        inputs = [(f"c{index}", type_of(column, dtype), 1) for index, column in enumerate(columns.columns)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions and losses in a graph; the comparison decides
        for options in _OPTIONS:
            try:
                graph = _convert(model, inputs, options)
                if columns is not None:
                    graph = with_one_input(graph, columns)
            except Exception as error:
                if not options:
                    reasons.append(f"the converter says {reason_of(error)}")
                continue
            yield graph
            if dtype == "float64":
                single = _with_single_outputs(graph)
                yield single
                yield _with_single_trees(single)


def _with_single_trees(graph: Any) -> Any:
    """Return the graph with float32 inputs of its trees: scikit-learn's trees and forests round their input so.

    skl2onnx rounds thresholds down, so float32 values fall on the same side of them.
    """
    from onnx import ModelProto, TensorProto, helper

    made = ModelProto()
    made.CopyFrom(graph)
    del made.graph.node[:]
    for node in graph.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            single = f"{node.input[0]}_single"
            if not any(single in known.output for known in made.graph.node):
                made.graph.node.append(helper.make_node("Cast", [node.input[0]], [single], to=TensorProto.FLOAT))
            made.graph.node.append(node)
            made.graph.node[-1].input[0] = single
        else:
            made.graph.node.append(node)
    return made


def _with_single_outputs(graph: Any) -> Any:
    """Return the graph with its float64 outputs declared as float32.

    ONNX's operators for trees and labels have float64 inputs and float32 outputs, but skl2onnx 1.20 declares the
    outputs as float64, which onnxruntime refuses.
    """
    from onnx import ModelProto, TensorProto

    single = ModelProto()
    single.CopyFrom(graph)
    del single.graph.value_info[:]
    for output in single.graph.output:
        if output.type.tensor_type.elem_type == TensorProto.DOUBLE:
            output.type.tensor_type.elem_type = TensorProto.FLOAT
    return single


def _convert(model: Any, inputs: Sequence[tuple[str, str, int]], options: Mapping[str, Any]) -> Any:
    """Convert the model with these inputs, each with its name, element type and number of features."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common import data_types

    types = [(name, getattr(data_types, _TYPES[dtype])([None, features])) for name, dtype, features in inputs]
    if not hasattr(model, "get_params"):
        return _convert_booster(model, inputs, options)
    _register_converters()
    last = model
    while hasattr(last, "steps"):
        last = last.steps[-1][1]
    given = {id(last): dict(options)} if options else None
    with _booleans_as_numbers():
        return convert_sklearn(model, initial_types=types, options=given, target_opset=_OPSETS)


@contextmanager
def _booleans_as_numbers() -> Iterator[None]:
    """Let skl2onnx use True for 1, as it does for histogram gradient boosting: protobuf would refuse it."""
    from skl2onnx.common import _container as container

    make_node = container.make_node

    def make(*args: Any, **attributes: Any) -> Any:
        lists = {name: value for name, value in attributes.items() if isinstance(value, list)}
        plain = {name: [int(v) if isinstance(v, bool) else v for v in value] for name, value in lists.items()}
        return make_node(*args, **{**attributes, **plain})

    container.make_node = make
    try:
        yield
    finally:
        container.make_node = make_node


def _convert_booster(model: Any, inputs: Sequence[tuple[str, str, int]], options: Mapping[str, Any]) -> Any:
    """Convert a bare booster, which onnxmltools converts only in float32."""
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    if "raw_scores" in options or "score_samples" in options:
        raise ServiceError("a Booster has no such option")
    types = [("X", FloatTensorType([None, sum(features for _, _, features in inputs)]))]
    return onnxmltools.convert_lightgbm(
        model, initial_types=types, target_opset=_OPSETS[""] - 2, **({"zipmap": False} if options else {})
    )


def _register_converters() -> None:
    """Register converters for XGBoost's and LightGBM's estimators in skl2onnx, if the libraries are imported."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes

    classifier = shapes.calculate_linear_classifier_output_shapes
    regressor = shapes.calculate_linear_regressor_output_shapes
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    if (xgboost := sys.modules.get("xgboost")) is not None and hasattr(xgboost, "XGBClassifier"):
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        for name in ("XGBClassifier", "XGBRFClassifier"):
            update_registered_converter(
                getattr(xgboost, name), f"XGBoost{name}", classifier, convert_xgboost, options=options
            )
        for name in ("XGBRegressor", "XGBRFRegressor"):
            update_registered_converter(getattr(xgboost, name), f"XGBoost{name}", regressor, convert_xgboost)
    if (lightgbm := sys.modules.get("lightgbm")) is not None and hasattr(lightgbm, "LGBMClassifier"):
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        update_registered_converter(
            lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", classifier, convert_lightgbm, options=options
        )
        update_registered_converter(
            lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", regressor, convert_lightgbm, options={"split": None}
        )
