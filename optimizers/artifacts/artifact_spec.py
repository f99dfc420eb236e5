"""The specification of an artifact, and its key in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version

from bento_monitor.lab.model_host.messages import Exporter
from bento_monitor.serving_config import BackendName, Precision, runs_file

from ..search_space.recipe import Quantization

_LIBRARIES = ("bento-monitor", "torch", "onnx", "onnxruntime")


@dataclass(frozen=True, slots=True)
class ArtifactSpec:
    """How an artifact is built from a model; torch runs the user's module and needs no file.

    With `has_fixed_axes`, each axis that has the same length in all samples is fixed to that length in the graph.
    `quantization` is None for a float32 file. `reduces_range` keeps int8 weights within +-64, so that no 16-bit sum of
    their products is clipped (`sums_int8_exactly`). `calibration_sha256` is the hash of the inputs that static
    quantization is calibrated on. `code_sha256` is the hash of the code beside the service, which a model's fingerprint
    does not cover.
    """

    backend: BackendName
    precision: Precision
    exporter: Exporter = "torchscript"
    opset: int = 17
    has_fixed_axes: bool = False
    quantization: Quantization | None = None
    reduces_range: bool = False
    calibration_sha256: str | None = None
    code_sha256: str | None = None

    @property
    def needs_file(self) -> bool:
        """Whether a file must be built."""
        return runs_file(self.backend)

    def key(self, source: str) -> str:
        """Return the key in the cache: a hash of the source, this specification, and the versions of the libraries."""
        spec = asdict(self)
        spec.pop("backend")  # all backends that run files run the same ones
        spec.pop("precision")
        inputs = {
            "source": source,
            "spec": spec,
            "versions": {library: version(library) for library in _LIBRARIES},
        }
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
