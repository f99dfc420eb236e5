"""Conversion of an estimator to ONNX with skl2onnx and onnxmltools; the graph must agree with the estimator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...backends.method_answers import COLUMNS_KEY, FORMS_KEY, MISSING_VALUES_KEY
from ...backends.onnxruntime import as_input, input_dtypes
from ...errors import BentoMonitorError, ServiceError
from ...extras import missing_message
from ...fingerprints.estimator_state import nested_estimators
from ...releases.release_record import TensorSpec
from .array_estimator import ArrayEstimator
from .estimator_converters import graphs_of
from .estimator_graph import Source, note_in_graph, write_graph
from .estimator_parity import answers_missing_values, check_parity, compare, forms_alike, perturbed_rows
from .exporters import first_sentence

_PACKAGES = ("sklearn", "skl2onnx", "onnxmltools")
_ERRORS_ONLY = 3
# Element types in which a graph computes, by the element type of its input; the best first.
_COMPUTED_IN = {"float32": ("float32", "float64")}
_CAST_FIRST = ("float64", "float32")
# The first of the perturbed rows: the rows themselves, mixed rows, and mixed rows with noise.
_LIKE_THEM = 3
_FIRST_OUTPUT = ("predict", "inplace_predict", "transform")


def convert_estimator(
    estimator: ArrayEstimator, methods: Sequence[str], inputs: Sequence[TensorSpec], path: Path, *, rows: Any
) -> tuple[TensorSpec, ...]:
    """Write a graph with an output for each method, and return the specs of the outputs.

    `rows` are captured rows, a NumPy array `(n, features)`, or the array that represents data frames. Graphs that
    compute in different element types are tried in turn; the first that agrees with the estimator on `rows`, and on
    rows like them, is written.

    Raises:
        ServiceError: a package is missing, or a graph cannot have the estimator's inputs or outputs.
        BentoMonitorError: the estimator cannot be converted, or no graph agrees with it.
    """
    _require_packages()
    spec = _only_input(estimator, inputs, rows)
    _require_finite_splits(estimator.model)
    outputs = tuple(_output_spec(estimator, method, rows) for method in methods)
    reasons: list[str] = []
    for dtype in _COMPUTED_IN.get(spec.dtype, _CAST_FIRST):
        graphs = list(graphs_of(estimator, dtype, rows.shape[1], reasons))
        sources = _sources(estimator, methods, graphs, rows)
        missing = [method for method in methods if method not in sources]
        if missing:
            reasons.append(f"no graph in {dtype} agrees with the estimator's {', '.join(missing)}")
            continue
        write_graph(path, spec, graphs, sources, outputs)
        failed = [parity for parity in check_parity(estimator, methods, path, rows) if not parity.holds]
        if not failed:
            note_in_graph(path, _seen_alike(estimator, methods, path, rows))
            return outputs
        path.unlink()
        reasons += [f"in the {dtype} graph, {parity.description}" for parity in failed]
    raise BentoMonitorError(f"The {estimator.name} cannot be served as ONNX: {'; '.join(dict.fromkeys(reasons))}.")


def _seen_alike(estimator: ArrayEstimator, methods: Sequence[str], path: Path, rows: Any) -> dict[str, str]:
    """Return the inputs that a release may accept in addition to arrays of finite numbers, as metadata of its graph."""
    if estimator.frames is not None:
        found = {COLUMNS_KEY: estimator.frames.columns.to_text()}
    else:
        found = {FORMS_KEY: " ".join(forms_alike(estimator, methods, rows))}
    if answers_missing_values(estimator, methods, path, rows):
        found[MISSING_VALUES_KEY] = "as the estimator"
    return found


def _require_packages() -> None:
    if (problem := missing_message("sklearn", "An estimator as ONNX", *_PACKAGES)) is not None:
        raise ServiceError(problem)


def _only_input(estimator: ArrayEstimator, inputs: Sequence[TensorSpec], rows: Any) -> TensorSpec:
    import numpy as np

    if len(inputs) != 1 or len(inputs[0].shape) != 2 or inputs[0].shape[1] is None:
        raise ServiceError(
            f"The {estimator.name} is called with {[(spec.name, spec.shape) for spec in inputs]}: only one "
            "array of rows with a fixed number of features can be served as ONNX."
        )
    if type(rows) is not np.ndarray or rows.dtype.kind not in "fiub" or str(rows.dtype) != inputs[0].dtype:
        raise ServiceError(
            f"The {estimator.name} is called with {getattr(rows, 'dtype', type(rows).__name__)} rows: only "
            "arrays of numbers can be served as ONNX."
        )
    # That every sample had one row is not a property of the estimator.
    return replace(inputs[0], shape=(None, *inputs[0].shape[1:]))


def _require_finite_splits(model: Any) -> None:
    """Raise ServiceError for trees that split on missing values: skl2onnx 1.19 loops forever on them."""
    import numpy as np

    for part in nested_estimators(model):
        tree = getattr(part, "tree_", None)
        if tree is not None and not np.isfinite(tree.threshold).all():
            raise ServiceError(
                f"The {type(part).__name__} splits on missing values, which cannot be served as ONNX: impute missing "
                "values before it, or use gradient boosting."
            )


def _output_spec(estimator: ArrayEstimator, method: str, rows: Any) -> TensorSpec:
    import numpy as np

    try:
        answer = estimator.answer(method, rows)
    except Exception as error:
        raise ServiceError(
            f"The method {method} of the {estimator.name} does not accept NumPy arrays "
            f"({first_sentence(str(error))}): it cannot be served as ONNX."
        ) from error
    if type(answer) is not np.ndarray or answer.ndim not in (1, 2) or answer.dtype.kind not in "fiubOU":
        raise ServiceError(
            f"The method {method} of the {estimator.name} returns a {type(answer).__name__}: only an array "
            "with one row, number or label for each sample can be served as ONNX."
        )
    is_text = answer.dtype.kind in "OU"
    if is_text and not all(isinstance(label, str) for label in answer.ravel()):
        raise ServiceError(
            f"The method {method} returns Python objects that are not text: use numbers or text as labels."
        )
    dtype = "str" if is_text else str(answer.dtype)
    return TensorSpec(method, dtype, (None, *answer.shape[1:]), answer.shape)


def _sources(estimator: ArrayEstimator, methods: Sequence[str], graphs: Sequence[Any], rows: Any) -> dict[str, Source]:
    """Return, for each method, the output of a graph that agrees with it on the rows and on rows mixed from them."""
    rows = _with_mixed(estimator, methods, rows)
    outputs = [_run(graph, rows) for graph in graphs]
    found: dict[str, Source] = {}
    for method in methods:
        expected = estimator.answer(method, rows)
        for source in _candidates(method, len(graphs)):
            answer = source.of(outputs, expected.shape)
            if answer is None or not _is_like(expected, answer):
                continue
            if compare(method, expected, answer, estimator.unit_of(method)).holds:
                found[method] = source
                break
    return found


def _with_mixed(estimator: ArrayEstimator, methods: Sequence[str], rows: Any) -> Any:
    """Return the rows and some like them, if the estimator accepts these; they tell graphs apart that differ rarely."""
    import numpy as np

    more = np.concatenate(perturbed_rows(rows, estimator.frames)[:_LIKE_THEM])
    try:
        for method in methods:
            estimator.answer(method, more)
    except Exception:
        return rows
    return more


def _candidates(method: str, count: int) -> Iterator[Source]:
    order = (0, 1) if method in _FIRST_OUTPUT else (1, 0)
    for graph in range(count):
        for output in order:
            yield Source(graph, output)
            yield Source(graph, output, column=1)
            yield Source(graph, output, is_log=True)


def _is_like(expected: Any, found: Any) -> bool:
    """Whether both are numbers or both are text."""
    return (expected.dtype.kind in "OU") == (found.dtype.kind in "OU")


def _run(graph: Any, rows: Any) -> list[Any]:
    import onnxruntime as ort

    try:
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        ((name, dtype),) = input_dtypes(session).items()
        outputs: list[Any] = session.run(None, {name: as_input(rows, dtype)})
    except Exception:  # a graph that onnxruntime cannot run has no outputs
        return []
    return [output if hasattr(output, "shape") else _no_array() for output in outputs]


def _no_array() -> Any:
    import numpy as np

    return np.empty(0, np.int64)
