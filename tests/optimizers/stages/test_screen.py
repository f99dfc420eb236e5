from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bento_monitor.errors import MeasurementError, ReleaseError, ServiceError
from optimizers.accuracy.tolerance import Tolerance
from optimizers.errors import ArtifactError, StudyInputError
from optimizers.search_space.recipe import Family, Recipe, StaticInt8
from optimizers.stages.race import survivors
from optimizers.stages.screen import accepted_kinds, screen, why_none_accepted
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


def family(*precisions: str) -> Family:
    return Family(tuple(Recipe("onnxruntime", precision) for precision in precisions))


class Bench:
    """A workbench in which every contender fails to answer."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.spec = SPEC
        interface = SimpleNamespace(mask_input=None, without_graphs="no GPU")
        self.subject = SimpleNamespace(count=4, choosing=np.arange(2), subject=SimpleNamespace(interface=interface))

    def yardstick(self) -> Any:
        return SimpleNamespace(notes=())

    def artifact(self, _execution: Any) -> None:
        pass

    def speeds(self, built: Any, rounds: int) -> dict[Any, float]:
        return dict.fromkeys(built, 1.0)

    def answers_in(self, _execution: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error", [StudyInputError("NaN"), ServiceError("It fails."), ReleaseError("It fails 3 calls.")]
)
def test_precision_that_cannot_answer_does_not_stop_the_others(error: Exception) -> None:
    steps: list[str] = []
    bench: Any = Bench(error)
    found = screen(bench, [family("fp32"), family("int8")], 2, steps.append, steps.append)
    assert [(each["accepted"], each["error"]) for each in found.values()] == [(False, str(error))] * 2


def test_death_of_the_model_host_ends_the_screening() -> None:
    bench: Any = Bench(MeasurementError("The host died."))
    with pytest.raises(MeasurementError):
        screen(bench, [family("fp32")], 2, str, str)


def test_precision_that_cannot_run_does_not_stop_the_others() -> None:
    class Racing(Bench):
        def speeds(self, built: Any, rounds: int) -> dict[Any, float]:
            if any(execution.precision == "int8" for execution in built):
                raise ReleaseError("It does not run.")
            return super().speeds(built, rounds)

    bench: Any = Racing(ServiceError("It fails."))
    found = screen(bench, [family("fp32"), family("int8")], 2, str, str)
    assert found["onnxruntime int8"]["error"] == "It does not run."
    assert found["onnxruntime fp32"]["error"] == "It fails."


class Accurate(Bench):
    """A workbench with a speed for each precision, and with precisions that lose accuracy or cannot be built."""

    def __init__(self, speeds: dict[str, float], lossy: set[str], broken: set[str] | None = None) -> None:
        super().__init__(ServiceError("unused"))
        self.measured: list[str] = []
        self._speeds, self._lossy, self._broken = speeds, lossy, broken or set()

    def artifact(self, execution: Any) -> None:
        if execution.precision in self._broken:
            raise ArtifactError(f"{execution.precision} cannot be built.")

    def speeds(self, built: Any, rounds: int) -> dict[Any, float]:
        return {execution: self._speeds[execution.precision] for execution in built}

    def answers_in(self, execution: Any) -> Any:
        self.measured.append(execution.precision)
        return execution.precision

    def _drop(self, precision: str) -> float:
        return 0.1 if precision in self._lossy else 0.0

    def yardstick(self) -> Any:
        return SimpleNamespace(
            notes=(),
            compare=lambda answers, *_, **__: SimpleNamespace(precision=answers, upper=self._drop(answers)),
            is_kept=lambda result: result.upper <= 0.01,
            describe=lambda result: result.precision,
        )


@pytest.mark.parametrize("runs_in_parts", [True, False])
def test_family_is_judged_by_the_way_to_run_a_batch_that_suits_it(runs_in_parts: bool) -> None:
    class Masked(Accurate):
        def speeds(self, built: Any, rounds: int) -> dict[Any, float]:
            if not runs_in_parts and any(execution.sub_batch_size for execution in built):
                raise ReleaseError("It takes no parts.")
            slow = {execution for execution in built if execution.sub_batch_size and execution.precision == "whole"}
            return {execution: 10.0 if execution in slow else 100.0 for execution in built}

    bench: Any = Masked({}, lossy=set())
    bench.subject.subject.interface.mask_input = "mask"
    found = screen(bench, [family("whole"), family("any")], 2, str, str)
    assert {name: (each["accepted"], each["samples_per_s"]) for name, each in found.items()} == {
        "onnxruntime whole": (True, 100.0),
        "onnxruntime any": (True, 100.0),
    }


def test_fastest_static_graph_is_also_tried_with_its_edges_in_float() -> None:
    class Layered(Accurate):
        def sensitivity(self, _recipe: Any) -> Any:
            return SimpleNamespace(ranking=("b", "a", "c"), edges=("a", "c"))

        def add(self, recipe: Recipe) -> None:
            self.added = recipe

    static = Recipe("onnxruntime", "int8-static", StaticInt8("minmax", 100))
    bench: Any = Layered({"int8-static": 900.0, "int8-static-float-edges": 1000.0, "fp32": 100.0}, lossy=set())
    verdicts = screen(bench, [Family((static,)), family("fp32")], 2, str, str)
    assert verdicts["onnxruntime int8-static-float-edges"]["accepted"]
    assert bench.added.quantization.excluded == ("a", "c")


def accepted(bench: Any, families: list[Family]) -> list[str]:
    steps: list[str] = []
    verdicts = screen(bench, families, 2, steps.append, str)
    recipes = [recipe for each in families for recipe in each.rungs]
    assert len(steps) == len(families) + 1  # the progress bar ends full
    return [precision for _, precision in accepted_kinds(recipes, verdicts)]


def test_next_precision_of_a_family_is_tried_until_one_is_accurate() -> None:
    speeds = {"fp32": 100.0, "minmax": 300.0, "percentile": 290.0, "entropy": 310.0}
    bench = Accurate(speeds, lossy={"minmax"})
    assert accepted(bench, [family("fp32"), family("minmax", "percentile", "entropy")]) == ["fp32", "percentile"]
    assert bench.measured == ["minmax", "percentile", "fp32"]


def test_family_that_cannot_be_built_at_first_goes_on_with_its_next_precision() -> None:
    speeds = {"fp32": 100.0, "weights": 200.0, "autocast": 150.0}
    bench = Accurate(speeds, lossy=set(), broken={"weights"})
    assert accepted(bench, [family("fp32"), family("weights", "autocast")]) == ["fp32", "autocast"]
    assert accepted(
        Accurate(speeds, set(), {"weights", "autocast"}), [family("fp32"), family("weights", "autocast")]
    ) == ["fp32"]


def test_ruined_precision_costs_a_few_answers_of_a_model_that_is_slow() -> None:
    class Slow(Accurate):
        def __init__(self, ruined: str) -> None:
            super().__init__({"fp32": 100.0, "minmax": 300.0, "entropy": 290.0}, lossy={"minmax"})
            self.subject.count = 5000
            self._ruined = ruined

        def ruin_in(self, execution: Any) -> Any:
            return (SimpleNamespace(precision="few", upper=0.5), 25) if execution.precision == self._ruined else None

    bench = Slow("minmax")
    assert accepted(bench, [family("fp32"), family("minmax", "entropy")]) == ["fp32", "entropy"]
    assert bench.measured == ["entropy", "fp32"]


def test_slow_families_are_not_measured_but_the_fastest_with_unchanged_weights_is() -> None:
    speeds = {"int8": 1000.0, "bf16": 500.0, "fp32": 100.0, "fp32-other": 90.0}
    bench = Accurate(speeds, lossy=set())
    families = [family(precision) for precision in ("fp32-other", "bf16", "int8", "fp32")]
    assert sorted(accepted(bench, families)) == ["fp32", "int8"]
    assert bench.measured == ["int8", "fp32"]


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
