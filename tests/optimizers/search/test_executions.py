"""Which executions are worth a race: rules that cut the space by facts."""

from bento_monitor.serving_config import Execution
from optimizers.search_space.executions import executions, precisions_for, thread_counts, typical_execution


def test_an_onnx_file_is_never_run_by_torch() -> None:
    assert {backend for backend, _ in precisions_for("onnx", frozenset())} == {"onnxruntime"}


def test_bf16_is_only_tried_where_the_processor_has_it() -> None:
    assert ("torch", "bf16") not in precisions_for("torch", frozenset({"avx512_vnni"}))
    assert ("torch", "bf16") in precisions_for("torch", frozenset({"avx512_bf16"}))


def test_threads_are_powers_of_two_and_all_cores() -> None:
    assert thread_counts(1) == [1]
    assert thread_counts(2) == [1, 2]
    assert thread_counts(6) == [1, 2, 4, 6]


def test_parts_need_a_mask_and_never_ask_for_more_than_the_cores() -> None:
    without = executions([("onnxruntime", "fp32")], 2, None)
    assert without == [Execution("onnxruntime", "fp32", 1), Execution("onnxruntime", "fp32", 2)]
    for execution in executions([("onnxruntime", "fp32")], 6, "mask"):
        assert execution.intra_op_threads * execution.streams <= 6
        assert (execution.mask_input is None) == (execution.sub_batch_size is None)


def test_the_typical_execution_is_one_of_those_that_race() -> None:
    for mask in (None, "mask"):
        assert typical_execution("onnxruntime", "fp32", 2, mask) in executions([("onnxruntime", "fp32")], 2, mask)
