"""What an artifact is, and the name under which it is cached."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version

from bento_monitor.lab.model_host.messages import Exporter
from bento_monitor.serving_config import Backend, Precision

_LIBRARIES = ("torch", "onnx", "onnxruntime")


@dataclass(frozen=True, slots=True)
class ArtifactSpec:
    """How a model is made into what a backend runs; torch runs the user's module and needs no file.

    With `has_fixed_axes` the graph takes the axes that vary in no sample in the samples' length alone. `reduces_range`
    keeps int8 weights within +-64, whose products no 16-bit sum clips (`sums_int8_exactly`).
    """

    backend: Backend
    precision: Precision
    exporter: Exporter = "torchscript"
    opset: int = 17
    has_fixed_axes: bool = False
    reduces_range: bool = False

    @property
    def needs_file(self) -> bool:
        """Whether there is a file to build."""
        return self.backend == "onnxruntime"

    @property
    def is_quantised(self) -> bool:
        """Whether the file is made from the float32 one."""
        return self.precision.startswith("int8-")

    def key(self, source: str) -> str:
        """The name in the cache: a hash of what the artifact is made from, how, and by which versions."""
        made_of = {
            "source": source,
            "spec": asdict(self),
            "versions": {library: version(library) for library in _LIBRARIES},
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
