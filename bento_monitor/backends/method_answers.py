"""The answers of an estimator's methods out of one ONNX graph, which has an output for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ReleaseError
from ..releases.record import TensorSpec
from ._base import UnboundCallError
from .onnxruntime import OnnxRuntimeBackend


class MethodAnswers:
    """Computes the output of one method, in the element type of the estimator's own answer."""

    def __init__(self, backend: OnnxRuntimeBackend, outputs: Sequence[TensorSpec], estimator: Any) -> None:
        """Raise ReleaseError where the answers are class labels in text, and the estimator has no such labels."""
        self._backend = backend
        self._dtypes = {spec.name: _dtype(spec, estimator) for spec in outputs}

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the graph has."""
        return tuple(self._dtypes)

    def check(self, method: str | None, inputs: Mapping[str, Any]) -> None:
        """Raise UnboundCallError, with its reason, for a call that the estimator itself must answer.

        Of an array with no rows, NaN or an infinite number some estimators raise an error, which a graph would not.
        """
        import numpy as np

        if method not in self._dtypes:
            raise UnboundCallError(f"it is for the methods {sorted(self._dtypes)}, not {method}", "method")
        for name, value in inputs.items():
            if type(value) is not np.ndarray:
                raise UnboundCallError(f"{name} is a {type(value).__name__}, not an array of numpy", "dtype")
            if not len(value.shape) or not value.shape[0]:
                raise UnboundCallError(f"{name} has no rows", "shape")
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise UnboundCallError(f"{name} has values that are not finite", "value")

    def run(self, method: str, inputs: Mapping[str, Any]) -> Any:
        """The method's answer."""
        return self._backend.run_output(inputs, method).astype(self._dtypes[method], copy=False)


def _dtype(spec: TensorSpec, estimator: Any) -> Any:
    import numpy as np

    if spec.dtype != "str":
        return np.dtype(spec.dtype)
    classes = getattr(estimator, "classes_", None)
    dtype = getattr(classes, "dtype", None)
    if dtype is None or dtype.kind not in "OU":
        raise ReleaseError(f"The release's {spec.name} answers text, and the service's own model has no such classes.")
    return dtype
