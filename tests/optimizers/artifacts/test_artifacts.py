from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.model_host.export_record import FixedAxis
from bento_monitor.lab.model_host.messages import ModelInterface, Parity
from bento_monitor.releases.release_record import OutputForm
from bento_monitor.resilience.atomic_files import sha256_of
from optimizers.artifacts.artifact_spec import ArtifactSpec
from optimizers.artifacts.build import build_artifact, quantize_artifact
from optimizers.artifacts.cache import ArtifactCache
from optimizers.artifacts.quantize import quantize
from optimizers.errors import ArtifactError

INTERFACE = ModelInterface("model", "torch", (), (), OutputForm(), None, "fingerprint")
FP32 = ArtifactSpec("onnxruntime", "fp32")
INT8 = ArtifactSpec("onnxruntime", "int8-dynamic-per-channel")
WEIGHT = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)


def write_graph(path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["output"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 32])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)


class FakeHost:
    """A host that exports a real graph, with exporters that fail on request and given differences from the model."""

    def __init__(self, failing: tuple[str, ...] = (), differences: tuple[float, ...] = ()) -> None:
        self.exports: list[str] = []
        self._failing = failing
        self._differences = list(differences)

    def export(self, path: Path, exporter: str, *, opset: int, fixed_because: str | None) -> None:
        assert opset == 17
        self.exports.append(exporter if fixed_because is None else f"{exporter} of samples: {fixed_because}")
        path.write_bytes(b"half")
        if self.exports[-1] in self._failing:
            raise BentoMonitorError(f"{exporter} fails")
        write_graph(path)

    def parity(self, path: Path) -> Parity:
        onnx.checker.check_model(str(path))
        difference = self._differences.pop(0) if self._differences else 1e-7
        return Parity(difference, 1.0, disagreement=None if difference < 0.01 else f"it differs by {difference}")


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


def build(host: FakeHost, spec: ArtifactSpec, cache: ArtifactCache, interface: ModelInterface = INTERFACE) -> Any:
    exported = build_artifact(host, interface, FP32 if spec.is_quantized else spec, cache)  # type: ignore[arg-type]
    return quantize_artifact(exported, spec, cache) if spec.is_quantized else exported


def test_artifact_is_built_once_and_then_cached(cache: ArtifactCache) -> None:
    host = FakeHost()
    first, again = build(host, FP32, cache), build(host, FP32, cache)
    assert host.exports == ["torchscript"]
    assert first == again
    assert first.sha256 == sha256_of(first.path)


def test_quantized_artifact_has_int8_weights_and_close_answers(cache: ArtifactCache) -> None:
    host = FakeHost()
    artifact = build(host, INT8, cache)
    types = {tensor.data_type for tensor in onnx.load(artifact.path).graph.initializer}
    assert TensorProto.INT8 in types
    x = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    (found,) = ort.InferenceSession(artifact.path, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    assert np.abs(found - x @ WEIGHT).max() < 0.05 * np.abs(x @ WEIGHT).max()
    assert build(host, INT8, cache).sha256 == artifact.sha256
    assert host.exports == ["torchscript"]


def test_reduced_range_weights_never_clip_a_16_bit_sum(cache: ArtifactCache) -> None:
    largest = []
    for spec in (INT8, replace(INT8, reduces_range=True)):
        graph = onnx.load(build(FakeHost(), spec, cache).path).graph
        weights = [numpy_helper.to_array(t) for t in graph.initializer if t.data_type == TensorProto.INT8 and t.dims]
        largest.append(max(int(np.abs(weight.astype(np.int32)).max()) for weight in weights))
    assert largest[0] == 127
    assert largest[1] * 2 * 255 <= 2**15 - 1


def test_torch_needs_no_file(cache: ArtifactCache) -> None:
    host = FakeHost()
    artifact = build(host, ArtifactSpec("torch", "bf16"), cache)
    assert (artifact.path, artifact.sha256, host.exports) == (None, None, [])


def test_other_exporters_are_tried_if_the_first_fails(cache: ArtifactCache) -> None:
    host = FakeHost(failing=("torchscript", "scripted"))
    assert build(host, FP32, cache).spec.exporter == "dynamo"
    assert host.exports == ["torchscript", "scripted", "dynamo"]


PROBED = replace(INTERFACE, probed_axes=(FixedAxis("x", 1, 8),))
EXPORTERS = ("torchscript", "scripted", "dynamo")


def test_fixed_length_graph_is_built_if_no_graph_takes_every_length(cache: ArtifactCache) -> None:
    host = FakeHost(failing=EXPORTERS)
    artifact = build(host, FP32, cache, PROBED)
    assert host.exports == [*EXPORTERS, "torchscript of samples: torchscript fails"]
    assert artifact.spec.has_fixed_axes
    differing = FakeHost(differences=(0.1, 0.1, 0.1))
    again = build(differing, INT8, cache, PROBED)
    assert differing.exports == list(EXPORTERS)  # the graph for the samples came from the cache
    assert again.spec.has_fixed_axes


def test_no_fixed_length_graph_is_tried_without_probed_axes(cache: ArtifactCache) -> None:
    host = FakeHost(failing=EXPORTERS)
    with pytest.raises(ArtifactError, match="torchscript fails"):
        build(host, FP32, cache)
    assert host.exports == list(EXPORTERS)


def test_graph_that_differs_from_the_model_is_refused_and_discarded(cache: ArtifactCache, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="differs from the model"):
        build(FakeHost(differences=(0.1, 0.1, 0.1)), FP32, cache)
    assert list((tmp_path / "cache").iterdir()) == []


def test_cached_graph_that_no_longer_matches_the_model_is_rebuilt(cache: ArtifactCache) -> None:
    build(FakeHost(), FP32, cache)
    host = FakeHost(differences=(0.1,))
    assert build(host, FP32, cache).spec.exporter == "torchscript"
    assert host.exports == ["torchscript"]


def test_failed_or_killed_build_leaves_no_partial_files(cache: ArtifactCache, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="dynamo fails"):
        build(FakeHost(failing=("torchscript", "scripted", "dynamo")), FP32, cache)
    folder = tmp_path / "cache"
    assert list(folder.iterdir()) == []
    dead = folder / "building-999999999-x"
    dead.mkdir()
    (dead / "half.onnx").write_bytes(b"half")
    ArtifactCache(folder)
    assert list(folder.iterdir()) == []


def test_cache_key_depends_on_the_model_and_every_field_of_the_spec() -> None:
    specs = [FP32, INT8, ArtifactSpec("onnxruntime", "fp32", "dynamo"), ArtifactSpec("onnxruntime", "fp32", opset=18)]
    keys = {spec.key(source) for spec in specs for source in ("a", "b")}
    assert len(keys) == 8


def test_quantization_is_bounded_in_memory_and_time(tmp_path: Path) -> None:
    write_graph(tmp_path / "in.onnx")
    with pytest.raises(ArtifactError, match="per-tensor failed"):
        quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", "per-tensor", memory_limit_bytes=64 * 2**20)
    with pytest.raises(ArtifactError, match="longer than"):
        quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", "per-tensor", timeout_s=0.01)
    assert not (tmp_path / "out.onnx").exists()
