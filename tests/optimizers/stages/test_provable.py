"""Which finalists may be proved: the best one, and the best one of another kind."""

from __future__ import annotations

from dataclasses import asdict

from bento_monitor.serving_config import Batching, Execution, Precision
from optimizers.candidate import Candidate
from optimizers.stages.provable import fastest_exact, provable

RESERVE = Execution("onnxruntime", "fp32", 2)


def candidate(precision: Precision, size: int) -> Candidate:
    return Candidate(Execution("onnxruntime", precision, 1), Batching(size, 0.0), 1)


INT8, INT8_LARGER = candidate("int8-dynamic-per-channel", 8), candidate("int8-dynamic-per-channel", 32)
PER_TENSOR, FP32 = candidate("int8-dynamic-per-tensor", 8), candidate("fp32", 8)


def test_quantized_best_is_followed_by_the_best_with_unchanged_weights() -> None:
    assert provable([INT8, INT8_LARGER, PER_TENSOR, FP32], RESERVE) == [INT8, FP32]


def test_reserve_is_used_with_the_batching_of_the_best() -> None:
    assert provable([INT8, PER_TENSOR], RESERVE) == [INT8, Candidate(RESERVE, INT8.batching, INT8.workers)]


def test_without_a_reserve_another_precision_or_the_next_finalist_follows() -> None:
    assert provable([INT8, INT8_LARGER, PER_TENSOR], None) == [INT8, PER_TENSOR]
    assert provable([INT8, INT8_LARGER], None) == [INT8, INT8_LARGER]
    assert provable([FP32, INT8], RESERVE) == [FP32, INT8]
    assert provable([FP32], RESERVE) == [FP32]


def test_reserve_is_the_fastest_execution_with_unchanged_weights() -> None:
    raced = [
        {"execution": asdict(run), "samples_per_s": 1.0}
        for run in (INT8.execution, RESERVE, Execution("torch", "fp32", 1))
    ]
    assert fastest_exact(raced) == RESERVE
    assert fastest_exact(raced[:1]) is None
