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
from optimizers.artifacts.graph import operator_types
from optimizers.artifacts.quantize import quantize
from optimizers.artifacts.sensitivity import rank_by_sensitivity
from optimizers.errors import ArtifactError
from optimizers.search_space.recipe import CalibrationMethod, DynamicInt8, StaticInt8, WeightOnly

INTERFACE = ModelInterface("model", "torch", (), (), OutputForm(), None, "fingerprint")
FP32 = ArtifactSpec("onnxruntime", "fp32")
DYNAMIC = DynamicInt8(is_per_channel=True)
INT8 = ArtifactSpec("onnxruntime", "int8-dynamic-per-channel", quantization=DYNAMIC)
METHODS: tuple[CalibrationMethod, ...] = ("minmax", "moving-average", "percentile", "entropy")
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
    is_float = spec.quantization is None
    exported = build_artifact(host, interface, spec if is_float else FP32, cache)  # type: ignore[arg-type]
    return exported if is_float else quantize_artifact(exported, spec, cache)


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
    (tmp_path / "out.onnx").write_bytes(b"written before the step was stopped")
    with pytest.raises(ArtifactError, match="more than its limit"):  # less than the interpreter needs: seen at once
        quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", DYNAMIC, memory_limit_bytes=2**23)
    assert not (tmp_path / "out.onnx").exists()
    with pytest.raises(ArtifactError, match="longer than"):
        quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", DYNAMIC, timeout_s=0.01)
    assert not (tmp_path / "out.onnx").exists()


def test_step_that_is_interrupted_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_graph(tmp_path / "in.onnx")
    children: list[int] = []

    def interrupt(pid: int) -> None:
        children.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr("optimizers.artifacts.child.resident_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", DYNAMIC)
    assert not Path(f"/proc/{children[0]}").exists()


@pytest.mark.parametrize(("bits", "tolerance"), [(8, 0.02), (4, 0.2)])
def test_weights_in_few_bits_give_close_answers(tmp_path: Path, bits: int, tolerance: float) -> None:
    write_graph(tmp_path / "in.onnx")
    quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", WeightOnly(bits, 32))
    assert "MatMulNBits" in [node.op_type for node in onnx.load(tmp_path / "out.onnx").graph.node]
    x = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    assert 0 < np.abs(answers(tmp_path / "out.onnx", x) - x @ WEIGHT).max() < tolerance * np.abs(x @ WEIGHT).max()


def write_convolution(path: Path) -> None:
    weight = np.random.default_rng(2).normal(size=(6, 2, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], "first"),
            helper.make_node("Clip", ["c", "least", "most"], ["r"], "clip"),
            helper.make_node("ReduceMax", ["r"], ["p"], "pool", axes=[2], keepdims=0),
            helper.make_node("Gemm", ["p", "v"], ["output"], "last"),
        ],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, "t"])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 4])],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.float32(0), "least"),
            numpy_helper.from_array(np.float32(6), "most"),
            numpy_helper.from_array(np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32), "v"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)


def calibrated(folder: Path, quantization: StaticInt8, lengths: tuple[int, ...] = (20, 20, 20, 20)) -> Path:
    write_convolution(folder / "in.onnx")
    generator = np.random.default_rng(4)
    calls = {
        f"{index:06d}/x": generator.normal(size=(8, 2, length)).astype(np.float32)
        for index, length in enumerate(lengths)
    }
    np.savez(folder / "calls.npz", **calls)  # type: ignore[arg-type]
    quantize(folder / "in.onnx", folder / "out.onnx", quantization, calibration=folder / "calls.npz")
    return folder / "out.onnx"


def answers(path: Path, x: Any) -> Any:
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


@pytest.mark.parametrize("method", METHODS)
def test_statically_quantized_convolution_has_close_answers(tmp_path: Path, method: CalibrationMethod) -> None:
    path = calibrated(tmp_path, StaticInt8(method, 32))
    operators = [node.op_type for node in onnx.load(path).graph.node]
    assert "QuantizeLinear" in operators
    x = np.random.default_rng(5).normal(size=(16, 2, 20)).astype(np.float32)
    expected = answers(tmp_path / "in.onnx", x)
    assert 0 < np.abs(answers(path, x) - expected).max() < 0.1 * np.abs(expected).max()


def test_answer_of_a_statically_quantized_graph_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    path = calibrated(tmp_path, StaticInt8("minmax", 32))
    x = np.random.default_rng(6).normal(size=(9, 2, 20)).astype(np.float32)
    x[3] *= 50  # dynamic quantization would scale its neighbours by it
    assert np.array_equal(answers(path, x), np.concatenate([answers(path, row[None]) for row in x]))


def test_signed_activations_give_close_answers(tmp_path: Path) -> None:
    path = calibrated(tmp_path, StaticInt8("minmax", 32, is_signed=True))
    types = {each.name: each.data_type for each in onnx.load(path).graph.initializer}
    zero_points = {types[node.input[2]] for node in onnx.load(path).graph.node if node.op_type == "QuantizeLinear"}
    assert zero_points == {TensorProto.INT8}
    x = np.random.default_rng(5).normal(size=(16, 2, 20)).astype(np.float32)
    expected = answers(tmp_path / "in.onnx", x)
    assert 0 < np.abs(answers(path, x) - expected).max() < 0.1 * np.abs(expected).max()


def test_excluded_node_stays_in_float(tmp_path: Path) -> None:
    path = calibrated(tmp_path, StaticInt8("minmax", 32, op_types=("Conv", "Gemm"), excluded=("first",)))
    graph = onnx.load(path).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    inputs = {node.name: [made.get(name) for name in node.input] for node in graph.node}
    assert "DequantizeLinear" not in inputs["first"]
    assert "DequantizeLinear" in inputs["last"]


@pytest.mark.parametrize("method", METHODS)
def test_calls_of_unequal_lengths_can_be_calibrated_on(tmp_path: Path, method: CalibrationMethod) -> None:
    path = calibrated(tmp_path, StaticInt8(method, 32), lengths=(12, 30, 7, 20))
    x = np.random.default_rng(7).normal(size=(4, 2, 15)).astype(np.float32)
    expected = answers(tmp_path / "in.onnx", x)
    assert np.abs(answers(path, x) - expected).max() < 0.2 * np.abs(expected).max()


def write_masked(path: Path, masked: float) -> None:
    """Write a graph whose products have a mask added to them before a softmax, as in attention."""
    generator = np.random.default_rng(8)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["scores"], "first"),
            helper.make_node("Where", ["kept", "none", "masked"], ["mask"], "choose"),
            helper.make_node("Add", ["scores", "mask"], ["seen"], "add"),
            helper.make_node("Softmax", ["seen"], ["shares"], "softmax", axis=-1),
            helper.make_node("MatMul", ["shares", "v"], ["output"], "last"),
        ],
        "masked",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16]),
            helper.make_tensor_value_info("kept", TensorProto.BOOL, ["n", 3, 8]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 3, 4])],
        [
            numpy_helper.from_array(generator.normal(size=(16, 8)).astype(np.float32), "w"),
            numpy_helper.from_array(generator.normal(size=(8, 4)).astype(np.float32), "v"),
            numpy_helper.from_array(np.float32(0), "none"),
            numpy_helper.from_array(np.float32(masked), "masked"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)


@pytest.mark.parametrize("masked", [-np.inf, np.finfo(np.float32).min, -1e9, -1e4])
@pytest.mark.parametrize("method", METHODS)
def test_numbers_of_a_mask_are_given_no_scale(tmp_path: Path, method: CalibrationMethod, masked: float) -> None:
    write_masked(tmp_path / "in.onnx", masked)
    generator = np.random.default_rng(9)

    def call() -> dict[str, Any]:
        kept = generator.random((32, 3, 8)) > 0.3
        kept[..., 0] = True
        return {"x": generator.normal(size=(32, 3, 16)).astype(np.float32), "kept": kept}

    calls = {f"{number:06d}/{name}": value for number in range(4) for name, value in call().items()}
    np.savez(tmp_path / "calls.npz", **calls)  # type: ignore[arg-type]
    quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", StaticInt8(method, 32), calibration=tmp_path / "calls.npz")
    inputs = call()
    expected, found = (
        ort.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"]).run(None, inputs)[0]
        for name in ("in.onnx", "out.onnx")
    )
    assert "QuantizeLinear" in operator_types(tmp_path / "out.onnx")
    assert 0 < np.abs(found - expected).max() < 0.2 * np.abs(expected).max()


def test_activation_with_an_outlier_is_ranked_as_most_sensitive(tmp_path: Path) -> None:
    write_convolution(tmp_path / "in.onnx")
    x = np.random.default_rng(4).normal(size=(8, 2, 20)).astype(np.float32)
    x[0, 0, 0] = 1e4  # rounds all other numbers that the convolution gets to zero
    np.savez(tmp_path / "calls.npz", **{"000000/x": x[1:], "000001/x": x[:1]})  # type: ignore[arg-type]
    layers = rank_by_sensitivity(tmp_path / "in.onnx", tmp_path / "calls.npz", is_static=True)
    assert layers.ranking == ("first", "last")
    assert layers.edges == ("first", "last")


def one_call(folder: Path) -> Path:
    x = np.random.default_rng(4).normal(size=(8, 64)).astype(np.float32)
    np.savez(folder / "calls.npz", **{"000000/x": x})  # type: ignore[arg-type]
    return folder / "calls.npz"


def test_nodes_without_names_get_some_so_that_they_can_stay_in_float(tmp_path: Path) -> None:
    write_graph(tmp_path / "in.onnx")
    layers = rank_by_sensitivity(tmp_path / "in.onnx", one_call(tmp_path), is_static=False)
    (name,) = layers.ranking
    quantize(tmp_path / "in.onnx", tmp_path / "out.onnx", replace(DYNAMIC, excluded=(name,)))
    assert [node.op_type for node in onnx.load(tmp_path / "out.onnx").graph.node] == ["MatMul"]
