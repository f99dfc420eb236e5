"""The rules that select the executions worth a race."""

from bento_monitor.serving_config import Execution
from optimizers.search_space.executions import executions, precisions_for, thread_counts, typical_execution


def test_torch_never_runs_an_onnx_file() -> None:
    assert {backend for backend, _ in precisions_for("onnx", frozenset())} == {"onnxruntime"}


def test_bf16_is_tried_only_on_cpus_that_support_it() -> None:
    assert ("torch", "bf16") not in precisions_for("torch", frozenset({"avx512_vnni"}))
    assert ("torch", "bf16") in precisions_for("torch", frozenset({"avx512_bf16"}))


def test_threads_are_powers_of_two_and_all_cores() -> None:
    assert thread_counts(1) == [1]
    assert thread_counts(2) == [1, 2]
    assert thread_counts(6) == [1, 2, 4, 6]


def test_sub_batches_need_a_mask_and_fit_the_cores() -> None:
    without = executions([("onnxruntime", "fp32")], 2, None)
    assert without == [Execution("onnxruntime", "fp32", 1), Execution("onnxruntime", "fp32", 2)]
    for execution in executions([("onnxruntime", "fp32")], 6, "mask"):
        assert execution.intra_op_threads * execution.streams <= 6
        assert (execution.mask_input is None) == (execution.sub_batch_size is None)


def test_typical_execution_is_among_the_raced_ones() -> None:
    for mask in (None, "mask"):
        assert typical_execution("onnxruntime", "fp32", 2, mask) in executions([("onnxruntime", "fp32")], 2, mask)
