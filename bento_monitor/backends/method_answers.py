"""The answers of an estimator's methods from one ONNX graph, which has one output for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ReleaseError
from ..releases.release_record import TensorSpec
from ._base import UnboundCallError
from .frame_columns import FrameColumns
from .number_rows import feature_names, number_rows, row_form
from .onnxruntime import OnnxRuntimeBackend

# Metadata key of a graph that was tested to answer rows with NaN as its estimator does.
MISSING_VALUES_KEY = "bento_monitor.missing_values"
# Metadata key of a graph whose estimator was tested to answer lists and data frames ("list frame") as it does arrays.
FORMS_KEY = "bento_monitor.row_forms"
# Metadata key of a graph whose array is made from the columns of a data frame: the description of the columns.
COLUMNS_KEY = "bento_monitor.columns"


class MethodAnswers:
    """Computes the output of one method, in the element type of the estimator's own answer."""

    def __init__(self, backend: OnnxRuntimeBackend, outputs: Sequence[TensorSpec], estimator: Any) -> None:
        """Raise ReleaseError if the answers are text labels of classes and the estimator has no such labels."""
        self._backend = backend
        self._dtypes = {spec.name: _dtype(spec, estimator) for spec in outputs}
        metadata = backend.metadata
        self._takes_nan = MISSING_VALUES_KEY in metadata
        columns = metadata.get(COLUMNS_KEY)
        self._columns = None if columns is None else FrameColumns.from_text(columns)
        self._forms = {"array", *metadata.get(FORMS_KEY, "").split()}
        self._feature_names = feature_names(estimator)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods for which the graph has an output."""
        return tuple(self._dtypes)

    def arrays(self, method: str | None, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs as arrays; raise UnboundCallError, with its reason, if the estimator itself must answer.

        Some estimators raise an error for an array without rows, with NaN or with an infinite number; a graph would
        not. NaN, lists and data frames are accepted if the graph was tested to answer them as the estimator does.
        Frames with texts and categories are accepted if the estimator's encoders know their values.
        """
        if method not in self._dtypes:
            raise UnboundCallError(f"it has the methods {sorted(self._dtypes)}, not {method}", "method")
        return {name: self._array(name, value) for name, value in inputs.items()}

    def _array(self, name: str, value: Any) -> Any:
        import numpy as np

        rows = self._rows(value)
        if rows is None:
            raise UnboundCallError(f"{name} is a {type(value).__name__} that cannot be made an array", "dtype")
        if not len(rows.shape) or not rows.shape[0]:
            raise UnboundCallError(f"{name} has no rows", "shape")
        if rows.dtype.kind == "f" and not np.isfinite(rows).all() and not self._is_answered(rows):
            raise UnboundCallError(f"{name} has values that are not finite", "value")
        return rows

    def run(self, method: str, inputs: Mapping[str, Any]) -> Any:
        """Return the method's answer."""
        return self._backend.run_output(inputs, method).astype(self._dtypes[method], copy=False)

    def _rows(self, value: Any) -> Any | None:
        if self._columns is not None:
            return self._columns.rows(value)
        return number_rows(value, self._feature_names) if row_form(value) in self._forms else None

    def _is_answered(self, rows: Any) -> bool:
        import numpy as np

        return self._takes_nan and not np.isinf(rows).any()


def _dtype(spec: TensorSpec, estimator: Any) -> Any:
    import numpy as np

    if spec.dtype != "str":
        return np.dtype(spec.dtype)
    classes = getattr(estimator, "classes_", None)
    dtype = getattr(classes, "dtype", None)
    if dtype is None or dtype.kind not in "OU":
        raise ReleaseError(f"The release's {spec.name} answers text, but the service's own model has no text classes.")
    return dtype
