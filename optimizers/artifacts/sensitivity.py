"""Which operators of a graph lose most by int8, from the noise that rounding adds to what they multiply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..search_space.recipe import WEIGHTED_OPS
from .child import run_in_child, serve_child
from .graph import has_transposed_weight, int8_scales
from .inner_values import inner_values
from .quantize import prepared

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

_ACTIVATION_LEVELS = 255


@dataclass(frozen=True, slots=True)
class Layers:
    """The names of a graph's operators with weights: the most sensitive first, and those at the graph's two edges."""

    ranking: tuple[str, ...]
    edges: tuple[str, ...]


def rank_by_sensitivity(source: Path, calibration: Path, *, is_static: bool) -> Layers:
    """Return the operators of a graph that lose most by int8.

    An operator's sensitivity is the power of the noise over that of the signal, summed over its activation and its
    weight: the inverse of their signal-to-quantization-noise ratios. It ranks; how many stay in float is decided by the
    metric.

    Raises:
        ArtifactError: the graph cannot be run on the calls in `calibration`.
    """
    settings = {"source": str(source.resolve()), "calibration": str(calibration.resolve()), "is_static": is_static}
    ranking, edges = run_in_child("optimizers.artifacts.sensitivity", "Ranking of the layers", settings)
    return Layers(tuple(ranking), tuple(edges))


def _rank(settings: dict[str, Any]) -> tuple[list[str], list[str]]:
    import onnx
    from onnx import numpy_helper

    path = prepared(Path(settings["source"]), is_static=settings["is_static"])
    model = onnx.load(path)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in WEIGHTED_OPS and set(node.input) & set(weights)]
    noise = {node.name: _weight_noise(node, numpy_helper.to_array(weights[_weight(node, weights)])) for node in nodes}
    activations = {node.name: next(name for name in node.input if name not in weights) for node in nodes}
    values: dict[str, list[NDArray[np.float32]]] = {name: [] for name in activations.values()}
    for found in inner_values(path, model, Path(settings["calibration"]), values):
        for name, arrays in values.items():
            arrays.append(found[name])
    of_activation = {name: _activation_noise(arrays) for name, arrays in values.items()}
    for node in nodes:
        noise[node.name] += of_activation[activations[node.name]]
    edges = list(dict.fromkeys([nodes[0].name, nodes[-1].name])) if nodes else []
    return sorted(noise, key=lambda name: -noise[name]), edges


def _weight(node: onnx.NodeProto, weights: Any) -> str:
    return str(next(name for name in node.input if name in weights))


def _weight_noise(node: onnx.NodeProto, weight: NDArray[Any]) -> float:
    """Return the noise over the signal of a weight in int8, with a scale for each channel of its output."""
    import numpy as np

    axis = 0 if node.op_type == "Conv" or has_transposed_weight(node) else min(1, weight.ndim - 1)
    scale = int8_scales(weight, axis)
    signal = float(np.square(weight, dtype=np.float64).sum())
    return float(np.square(weight - np.round(weight / scale) * scale, dtype=np.float64).sum()) / signal if signal else 0


def _activation_noise(calls: Sequence[NDArray[np.float32]]) -> float:
    """Return the mean over rows of the noise over the signal, with 256 levels between the least and the largest value.

    By row, since each row is an answer of its own: an outlier in one of them adds noise to all others.
    """
    import numpy as np

    low = min(0.0, *(float(values.min()) for values in calls))
    scale = (max(0.0, *(float(values.max()) for values in calls)) - low) / _ACTIVATION_LEVELS
    ratios: list[float] = []
    for values in calls:
        rows = values.reshape(len(values), -1) if values.ndim else values.reshape(1, 1)
        signal = np.square(rows, dtype=np.float64).sum(axis=1)
        lost = np.square(rows - np.round(rows / (scale or 1.0)) * scale, dtype=np.float64).sum(axis=1)
        ratios += (lost[signal > 0] / signal[signal > 0]).tolist()
    return sum(ratios) / len(ratios) if ratios else 0.0


if __name__ == "__main__":
    serve_child(_rank)
