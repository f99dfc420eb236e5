"""What is built for which machine, model and data, and what the rules cut."""

from __future__ import annotations

from dataclasses import replace

from optimizers.search_space.facts import SpaceFacts
from optimizers.search_space.precisions import is_exact, precision_space
from optimizers.search_space.recipe import DynamicInt8, GroupedInt8, StaticInt8

TRANSFORMER = SpaceFacts(
    runner_kind="torch",
    cpu_flags=frozenset({"avx512_vnni", "avx512_bf16"}),
    device="cpu",
    has_2d_convolutions=False,
    has_mask=True,
    has_varying_axes=True,
    choosing_samples=1000,
    graph_ops=frozenset({"MatMul", "Add", "Softmax", "Transpose"}),
    has_openvino=True,
    without_graphs="the model is on no GPU",
)
CNN = replace(
    TRANSFORMER,
    has_2d_convolutions=True,
    has_mask=False,
    has_varying_axes=False,
    graph_ops=frozenset({"Conv", "Relu", "Gemm"}),
)


def precisions(facts: SpaceFacts) -> set[tuple[str, str]]:
    return {recipe.kind for recipe in precision_space(facts).recipes}


def cuts(facts: SpaceFacts) -> dict[str, str]:
    return {cut.what: cut.why for cut in precision_space(facts).cuts}


def test_torch_never_runs_an_onnx_file() -> None:
    facts = replace(TRANSFORMER, runner_kind="onnx")
    assert {backend for backend, _ in precisions(facts)} == {"onnxruntime", "openvino"}
    assert cuts(facts)["torch"] == "the runner wraps no torch module (it wraps: onnx)"


def test_bf16_is_tried_only_on_cpus_that_compute_in_it() -> None:
    assert ("torch", "bf16-weights") in precisions(TRANSFORMER)
    plain = replace(TRANSFORMER, cpu_flags=frozenset({"avx512_vnni"}))
    assert not any("bf16" in precision for _, precision in precisions(plain))
    assert "emulate" in cuts(plain)["torch bf16"]


def test_fp16_is_tried_only_on_a_gpu() -> None:
    assert not any("fp16" in precision for _, precision in precisions(CNN))
    assert ("torch", "fp16-weights-channels-last") in precisions(replace(CNN, device="cuda"))


def test_model_on_a_gpu_is_also_run_in_tf32_and_on_the_processor() -> None:
    gpu = replace(TRANSFORMER, device="cuda", without_graphs=None)
    assert {("torch", "tf32"), ("onnxruntime", "int8-dynamic-per-channel")} <= precisions(gpu)
    assert "CUDA graphs" not in cuts(gpu)
    assert cuts(replace(gpu, without_graphs="reads a value"))["CUDA graphs"] == "reads a value"
    assert not {("torch", "tf32")} & precisions(TRANSFORMER)
    assert "CUDA graphs" not in cuts(TRANSFORMER)


def test_static_int8_has_the_signs_that_the_cpu_multiplies() -> None:
    def signs(facts: SpaceFacts) -> set[bool]:
        static = [recipe.quantization for recipe in precision_space(facts).recipes]
        return {each.is_signed for each in static if isinstance(each, StaticInt8)}

    assert signs(CNN) == {False}
    assert signs(replace(CNN, cpu_flags=frozenset({"asimddp"}))) == {True}


def test_attention_of_a_torch_module_is_also_fused() -> None:
    fused = {precision for backend, precision in precisions(TRANSFORMER) if precision.endswith("-fused")}
    assert fused == {"fp32-fused", "int8-dynamic-per-channel-fused", "int8-dynamic-per-tensor-fused"}
    assert is_exact("fp32-fused")
    for facts in (CNN, replace(TRANSFORMER, runner_kind="onnx")):
        assert not any("fused" in precision for _, precision in precisions(facts))


def test_layout_for_convolutions_is_tried_only_if_there_are_some() -> None:
    assert ("torch", "bf16-weights-channels-last") in precisions(CNN)
    assert not any("channels-last" in precision for _, precision in precisions(TRANSFORMER))


def test_convolutions_are_never_quantized_at_run_time() -> None:
    dynamic = [
        recipe.quantization for recipe in precision_space(CNN).recipes if isinstance(recipe.quantization, DynamicInt8)
    ]
    assert dynamic == [DynamicInt8(is_per_channel=True, op_types=("Gemm", "MatMul"))]
    assert "slower" in cuts(CNN)["onnxruntime int8-dynamic of convolutions"]


def test_static_quantization_needs_enough_samples() -> None:
    assert "fewer than 8" in cuts(replace(CNN, choosing_samples=7))["onnxruntime int8-static"]
    few = [recipe.quantization for recipe in precision_space(replace(CNN, choosing_samples=20)).recipes]
    assert {each.samples for each in few if isinstance(each, StaticInt8)} == {20}


def test_histograms_need_rows_of_one_length_or_a_mask() -> None:
    def methods(facts: SpaceFacts) -> set[str]:
        found = [recipe.quantization for recipe in precision_space(facts).recipes]
        return {each.method for each in found if isinstance(each, StaticInt8)}

    assert methods(TRANSFORMER) == {"minmax", "moving-average", "percentile", "entropy"}
    assert methods(replace(TRANSFORMER, has_mask=False)) == {"minmax", "moving-average"}


def test_openvino_is_cut_with_the_command_that_installs_it() -> None:
    facts = replace(TRANSFORMER, has_openvino=False)
    assert "openvino" not in {backend for backend, _ in precisions(facts)}
    assert "pip install 'bento-monitor[openvino]'" in cuts(facts)["openvino"]


def test_int8_by_groups_computes_the_rest_in_bf16_where_the_cpu_can() -> None:
    def grouped(facts: SpaceFacts) -> list[str]:
        return [each.precision for each in precision_space(facts).recipes if isinstance(each.quantization, GroupedInt8)]

    assert grouped(TRANSFORMER) == ["int8-grouped-bf16", "int8-grouped-64-bf16"]
    assert grouped(replace(TRANSFORMER, cpu_flags=frozenset({"avx512_vnni"}))) == ["int8-grouped", "int8-grouped-64"]
    without = replace(CNN, graph_ops=frozenset({"Conv", "Relu"}))
    assert grouped(without) == []
    assert cuts(without)["openvino int8-grouped"] == "the graph has no MatMul or Gemm"


def test_estimator_is_not_quantized() -> None:
    facts = replace(TRANSFORMER, runner_kind="estimator", graph_ops=frozenset({"TreeEnsembleClassifier"}))
    assert precisions(facts) == {("onnxruntime", "fp32")}
    assert "no weights" in cuts(facts)["onnxruntime int8"]


def test_every_precision_has_a_name_of_its_own() -> None:
    for facts in (TRANSFORMER, CNN, replace(CNN, device="cuda")):
        names = [recipe.kind for recipe in precision_space(facts).recipes]
        assert len(names) == len(set(names))


def test_only_unchanged_weights_are_exact() -> None:
    assert is_exact("fp32")
    assert is_exact("fp32-channels-last")
    assert not is_exact("bf16-weights")
    assert not is_exact("int8-static-all-minmax-100")
