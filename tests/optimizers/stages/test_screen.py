from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bento_monitor.errors import MeasurementError, ReleaseError, ServiceError
from optimizers.accuracy.tolerance import Tolerance
from optimizers.errors import StudyInputError
from optimizers.stages.race import survivors
from optimizers.stages.screen import screen, why_none_accepted
from optimizers.stages.speeds import speed_words
from optimizers.study_spec import StudySpec

SPEC = StudySpec(
    target="service:Svc",
    working_dir=Path(),
    data=Path("eval.npz"),
    metric="accuracy",
    max_drop=Tolerance(0.01),
    blocks=5,
)


def test_failed_builds_are_reported_without_advice_on_the_tolerance() -> None:
    found = {"onnxruntime fp32": {"accepted": False, "error": "It has a loop."}, "torch bf16": {"error": "No AMX."}}
    sentence = why_none_accepted(found, SPEC)
    assert "onnxruntime fp32: It has a loop" in sentence
    assert "torch bf16: No AMX" in sentence
    assert "--max-drop" not in sentence


def test_lost_accuracy_is_reported_with_bound_and_tolerance() -> None:
    found = {"onnxruntime int8": {"accepted": False, "words": "accuracy 0.9000, at most 0.0312 lower"}}
    sentence = why_none_accepted(found, SPEC)
    assert "onnxruntime int8: accuracy 0.9000, at most 0.0312 lower" in sentence
    assert "--max-drop 0.01" in sentence


class Bench:
    """A workbench in which every contender fails to answer."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.spec = SPEC
        interface = SimpleNamespace(mask_input=None)
        self.subject = SimpleNamespace(count=4, choosing=np.arange(2), subject=SimpleNamespace(interface=interface))

    def yardstick(self) -> Any:
        return SimpleNamespace(notes=())

    def artifact(self, _execution: Any) -> None:
        pass

    def speeds(self, built: Any) -> dict[Any, float]:
        return dict.fromkeys(built, 1.0)

    def answers_in(self, _execution: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error", [StudyInputError("NaN"), ServiceError("It fails."), ReleaseError("It fails 3 calls.")]
)
def test_precision_that_cannot_answer_does_not_stop_the_others(error: Exception) -> None:
    steps: list[str] = []
    kinds: Any = [("onnxruntime", "fp32"), ("onnxruntime", "int8")]
    bench: Any = Bench(error)
    found = screen(bench, kinds, 2, steps.append, steps.append)
    assert [(each["accepted"], each["error"]) for each in found.values()] == [(False, str(error))] * 2


def test_death_of_the_model_host_ends_the_screening() -> None:
    bench: Any = Bench(MeasurementError("The host died."))
    with pytest.raises(MeasurementError):
        screen(bench, [("onnxruntime", "fp32")], 2, str, str)


def test_precision_that_cannot_run_does_not_stop_the_others() -> None:
    class Racing(Bench):
        def speeds(self, built: Any) -> dict[Any, float]:
            if any(execution.precision == "int8" for execution in built):
                raise ReleaseError("It does not run.")
            return super().speeds(built)

    bench: Any = Racing(ServiceError("It fails."))
    found = screen(bench, [("onnxruntime", "fp32"), ("onnxruntime", "int8")], 2, str, str)
    assert found["onnxruntime int8"]["error"] == "It does not run."
    assert found["onnxruntime fp32"]["error"] == "It fails."


@pytest.mark.parametrize(("fastest", "kept"), [(2000.0, 2), (10.0, 1)])
def test_lead_of_a_slow_model_counts_more(fastest: float, kept: int) -> None:
    ranked = [
        {"execution": {"backend": "torch", "precision": "fp32", "intra_op_threads": threads}, "samples_per_s": speed}
        for threads, speed in ((1, fastest), (2, 0.7 * fastest))
    ]
    assert len(survivors(ranked)) == kept


def test_speed_has_three_figures() -> None:
    assert [speed_words(speed) for speed in (2634.4, 99.44, 2.634)] == [
        "2634 samples/s",
        "99.4 samples/s",
        "2.63 samples/s",
    ]
