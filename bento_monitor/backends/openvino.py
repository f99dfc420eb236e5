"""The backend openvino: an ONNX graph compiled for the CPU, in float32, in bf16, or as it was quantized.

Of a file whose metadata has `GROUP_SIZE_KEY`, the activations are rounded to int8 at run time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from ..errors import ReleaseError
from ..extras import install_command
from ..releases.release_record import TensorSpec
from ..serving_config import Execution
from .onnxruntime import as_input

GROUP_SIZE_KEY = "bento-monitor.group_size"
"""The metadata of an ONNX file whose activations are rounded at run time: over how many numbers a scale reaches."""
_TELEMETRY = "openvino_telemetry"
_STARTING = threading.Lock()


class OpenVinoBackend:
    """An ONNX graph compiled by OpenVINO, with the threads and streams that the release sets.

    An inference request of OpenVINO serves one call at a time, so each concurrent call has its own.
    """

    def __init__(
        self, graph: bytes, execution: Execution, *, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> None:
        """Compile the graph.

        Raises:
            ReleaseError: OpenVINO is not installed or cannot compile the graph, the processor does not compute in the
                precision, or the graph's inputs and outputs are not those of the release.
        """
        library = require_openvino()
        hint = "bf16" if "bf16" in execution.precision.split("-") else "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": execution.intra_op_threads * execution.streams,
            "NUM_STREAMS": execution.streams,
            "ENABLE_CPU_PINNING": False,  # other workers and threads share the cores
        }
        try:
            core = library.Core()
            model = core.read_model(graph, b"")
            # By default, OpenVINO also rounds the activations of files with weights in int8 that ask for no such thing.
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = _group_size(model)
            self._compiled = core.compile_model(model, "CPU", settings)
        except Exception as error:
            raise ReleaseError(f"OpenVINO cannot compile the release's ONNX file: {error}") from error
        if self._compiled.get_property("INFERENCE_PRECISION_HINT") != getattr(library.Type, hint):
            raise ReleaseError(f"OpenVINO does not compute in {hint} on this processor: make a release here.")
        dtypes = {spec.name: spec.dtype for spec in inputs}
        names = [_name_of(port, dtypes) for port in self._compiled.inputs]
        if None in names or len(self._compiled.outputs) != len(outputs):
            raise ReleaseError("The ONNX file has inputs or outputs which are not those of the release.")
        self._dtypes = {name: dtypes[name] for name in names if name is not None}
        self._output_dtypes = [spec.dtype for spec in outputs]
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Run the graph; the outputs are numpy arrays of the release's element types."""
        import numpy as np

        feed = {name: as_input(inputs[name], dtype) for name, dtype in self._dtypes.items()}
        with self._request() as request:
            request.infer(feed, share_inputs=True)
            return [
                np.array(request.get_output_tensor(index).data, dtype=dtype)
                for index, dtype in enumerate(self._output_dtypes)
            ]

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """Give an idle inference request, or a new one."""
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        try:
            yield request
        finally:
            self._idle.put(request)


def require_openvino() -> Any:
    """Import OpenVINO, without the telemetry that it sends to its makers by default.

    Raises:
        ReleaseError: OpenVINO is not installed.
    """
    # OpenVINO's tools report to their makers if this package can be imported and no file of the user refuses it.
    if _TELEMETRY not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    with _STARTING:
        try:
            import openvino
        except ImportError as error:
            raise ReleaseError(
                f"The release runs by OpenVINO, which is not installed here: {install_command('openvino')}", "library"
            ) from error
        _fill_tables(openvino)
    return openvino


def _fill_tables(library: Any) -> None:
    """Let OpenVINO make its tables of element types while no other thread uses it.

    Its Python module makes each in the first call that needs it, and lets other threads run meanwhile: two first calls
    at once wait for each other for ever, seen with every version from 2025.3 to 2026.4.
    """
    import numpy as np

    for is_shared in (False, True):
        np.array(library.Tensor(np.zeros((1, 1), np.float32), shared_memory=is_shared).data)


def _group_size(model: Any) -> int:
    """Return over how many numbers a scale of the activations reaches; 0 if they are not rounded at run time."""
    path = ["framework", GROUP_SIZE_KEY]
    return int(model.get_rt_info(path).astype(str)) if model.has_rt_info(path) else 0


def _name_of(port: Any, names: Mapping[str, Any]) -> str | None:
    return next((name for name in port.get_names() if name in names), None)
