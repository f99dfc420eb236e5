"""The rules that select the executions worth a race."""

from bento_monitor.serving_config import Execution
from optimizers.search_space.choices import SpaceChoices
from optimizers.search_space.executions import executions, thread_counts, typical_executions


def test_threads_are_powers_of_two_and_all_cores() -> None:
    assert thread_counts(1) == [1]
    assert thread_counts(2) == [1, 2]
    assert thread_counts(6) == [1, 2, 4, 6]


def test_sub_batches_need_a_mask_and_fit_the_cores() -> None:
    without = executions([("onnxruntime", "fp32")], 2, None, has_separate_rows=False)
    assert without == [
        Execution("onnxruntime", "fp32", 1),
        Execution("onnxruntime", "fp32", 2),
        Execution("onnxruntime", "fp32", 2, allow_spinning=True),
    ]
    for execution in executions([("onnxruntime", "fp32")], 6, "mask", has_separate_rows=True):
        assert execution.intra_op_threads * execution.streams <= 6
        assert (execution.mask_input is None) == (execution.sub_batch_size is None)


def test_typical_executions_are_among_the_raced_ones() -> None:
    for mask, count in ((None, 1), ("mask", 2)):
        typical = typical_executions("onnxruntime", "fp32", 2, mask)
        assert len(typical) == count
        assert set(typical) <= set(executions([("onnxruntime", "fp32")], 2, mask, has_separate_rows=True))
        assert {execution.intra_op_threads * execution.streams for execution in typical} == {2}


def test_rows_without_a_mask_run_in_parts_only_if_several_run_at_once() -> None:
    plain = executions([("torch", "fp32")], 2, None, has_separate_rows=True)
    in_parts = [execution for execution in plain if execution.sub_batch_size is not None]
    assert {(execution.intra_op_threads, execution.streams) for execution in in_parts} == {(1, 2)}
    assert executions([("torch", "fp32")], 1, None, has_separate_rows=True) == [Execution("torch", "fp32", 1)]


def test_chosen_threads_and_sizes_replace_those_of_the_search() -> None:
    def raced(choices: SpaceChoices, mask: str | None) -> set[tuple[int, int | None]]:
        found = executions([("torch", "fp32")], 2, mask, has_separate_rows=True, choices=choices)
        return {(execution.intra_op_threads, execution.sub_batch_size) for execution in found}

    assert raced(SpaceChoices(threads=(3,), sub_batch_size=(0, 5)), "mask") == {(3, None), (3, 5)}
    assert raced(SpaceChoices(sub_batch_size=(5,)), "mask") == {(1, 5), (2, 5)}
    assert raced(SpaceChoices(threads=(2,), sub_batch_size=(5,)), None) == set()  # nothing to save without a mask


def test_model_with_cuda_graphs_runs_with_and_without_them_in_parts_that_fill_a_gpu() -> None:
    found = executions([("torch", "fp16-weights")], 16, "mask", has_separate_rows=True, has_graphs=True)
    assert {(run.cuda_graphs, run.sub_batch_size) for run in found} == {
        (False, None), (True, None), (True, 32), (True, 64), (True, 128)
    }  # fmt: skip
    assert {(run.intra_op_threads, run.streams) for run in found} == {(16, 1)}
    (typical,) = typical_executions("torch", "fp16-weights", 16, "mask", has_graphs=True)
    assert typical.cuda_graphs
    assert typical in found
    without_mask = executions([("torch", "fp32")], 16, None, has_separate_rows=True, has_graphs=True)
    assert [(run.cuda_graphs, run.sub_batch_size) for run in without_mask] == [(False, None), (True, None)]
    assert not any(
        run.cuda_graphs
        for run in executions([("onnxruntime", "fp32")], 16, "mask", has_separate_rows=True, has_graphs=True)
    )
