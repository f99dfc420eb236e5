"""The onnxruntime backend: a session on the CPU, with the number of threads that the release sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ReleaseError, ServiceError
from ..extras import install_command
from ..machine import sums_int8_exactly
from ..releases.release_record import TensorSpec
from ..serving_config import Execution
from .arrays import to_numpy
from .onnx_rows import RowsSession

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}
_ERRORS_ONLY = 3


class OnnxRuntimeBackend:
    """An ONNX graph in a session of its own; inputs in CPU memory are read in place."""

    def __init__(
        self, graph: bytes, execution: Execution, *, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> None:
        """Build the session.

        Raises:
            ReleaseError: onnxruntime cannot load the graph, or its inputs and outputs are not those of the release.
        """
        self._session = _session(graph, execution)
        self._rows = RowsSession(self._session)
        self._dtypes = {spec.name: spec.dtype for spec in inputs}
        names = [output.name for output in self._session.get_outputs()]
        self._outputs = _output_names([spec.name for spec in outputs], names)
        named = set(input_dtypes(self._session)), set(names)
        if not (named[0] <= set(self._dtypes) and named[1] >= set(self._outputs)):
            raise ReleaseError(f"The ONNX file has inputs and outputs {named}, which are not those of the release.")
        # An input that no output depends on is removed from the graph, but the user still passes it.
        self._dtypes = {name: dtype for name, dtype in self._dtypes.items() if name in named[0]}

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the file."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Run the graph; the outputs are numpy arrays."""
        feed = {name: as_input(inputs[name], dtype) for name, dtype in self._dtypes.items()}
        return self._rows.run(self._outputs, feed)

    def run_output(self, inputs: Mapping[str, Any], name: str) -> Any:
        """Compute only the output `name`."""
        feed = {name: as_input(inputs[name], dtype) for name, dtype in self._dtypes.items()}
        options = require_onnxruntime().RunOptions()
        options.only_execute_path_to_fetches = True
        return self._session.run([name], feed, options)[0]


def import_onnxruntime() -> Any | None:
    """Import onnxruntime; return None if it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    return onnxruntime


def require_onnxruntime() -> Any:
    """Import onnxruntime, which a release of an ONNX file needs.

    Raises:
        ReleaseError: onnxruntime is not installed.
    """
    library = import_onnxruntime()
    if library is None:
        raise ReleaseError(
            f"The release is an ONNX file, and onnxruntime is not installed here: {install_command('onnx')}", "library"
        )
    return library


def as_input(value: Any, dtype: str | None) -> Any:
    """Return the value as a contiguous numpy array of the given type, copied only if necessary."""
    import numpy as np

    return np.asarray(to_numpy(value), dtype=dtype, order="C")  # ascontiguousarray gives a scalar an axis


def default_session(path: Path) -> Any:
    """Open a session on the CPU with onnxruntime's own defaults.

    Raises:
        ServiceError: onnxruntime is not installed, or cannot load the file.
    """
    ort = import_onnxruntime()
    if ort is None:
        raise ServiceError(f"To run {path}, onnxruntime must be installed: {install_command('onnx')}")
    try:
        return ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ServiceError(f"MonitoredRunner: onnxruntime cannot load the ONNX file {path}: {error}") from error


def input_dtypes(session: Any) -> dict[str, str]:
    """Return the element type of each input of a session, as numpy names it, in the order of the inputs."""
    return {
        item.name: _DTYPES.get(item.type, item.type.removeprefix("tensor(").removesuffix(")"))
        for item in session.get_inputs()
    }


def _output_names(recorded: list[str], names: list[str]) -> list[str]:
    """Return the graph's names of the outputs; the record of a user's own file may say `output` or `output_0`."""
    places = ["output"] if len(names) == 1 else [f"output_{index}" for index in range(len(names))]
    return names if recorded == places else recorded


def _session(graph: bytes, execution: Execution) -> Any:
    ort = require_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = execution.intra_op_threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if execution.allow_spinning else "0")
    if not sums_int8_exactly():
        # Slower but exact for weights past half of their range, as in a graph made elsewhere or on a machine with VNNI.
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ReleaseError(f"onnxruntime cannot load the release's ONNX file: {error}") from error
