from __future__ import annotations

from pathlib import Path

from optimizers.accuracy.tolerance import Tolerance
from optimizers.stages.screen import why_none_accepted
from optimizers.study_spec import StudySpec

SPEC = StudySpec(
    target="service:Svc",
    working_dir=Path(),
    data=Path("eval.npz"),
    metric="accuracy",
    max_drop=Tolerance(0.01),
    blocks=5,
)


def test_where_no_precision_could_be_built_what_happened_to_each_is_said_and_no_other_advice() -> None:
    found = {"onnxruntime fp32": {"accepted": False, "error": "It has a loop."}, "torch bf16": {"error": "No AMX."}}
    sentence = why_none_accepted(found, SPEC)
    assert "onnxruntime fp32: It has a loop" in sentence
    assert "torch bf16: No AMX" in sentence
    assert "--max-drop" not in sentence


def test_where_accuracy_was_lost_the_bound_of_each_and_the_tolerance_are_said() -> None:
    found = {"onnxruntime int8": {"accepted": False, "words": "accuracy 0.9000, at most 0.0312 lower"}}
    sentence = why_none_accepted(found, SPEC)
    assert "onnxruntime int8: accuracy 0.9000, at most 0.0312 lower" in sentence
    assert "--max-drop 0.01" in sentence
