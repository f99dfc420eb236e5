"""The race: a failing execution is named and left out, and the others still race."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bento_monitor.errors import MeasurementError, ReleaseError, ServiceError
from optimizers.errors import NoWinnerError
from optimizers.search_space.choices import ALL
from optimizers.stages.race import race, survivors


class Bench:
    """A workbench whose executions selected by `breaks` fail, raced together or alone."""

    spec = SimpleNamespace(space=ALL)
    subject = SimpleNamespace(
        subject=SimpleNamespace(
            interface=SimpleNamespace(mask_input=None, has_separate_rows=False, without_graphs="no GPU")
        )
    )

    def __init__(self, breaks: Any) -> None:
        self.breaks = breaks

    def speeds(self, entrants: Any, rounds: int) -> dict[Any, float]:
        for execution in entrants:
            if self.breaks(execution):
                raise ReleaseError(f"{execution.intra_op_threads} threads are too many.\nTraceback")
        return {execution: 100.0 * execution.intra_op_threads for execution in entrants}


def test_failing_execution_is_left_out_and_reported() -> None:
    notes: list[str] = []
    bench: Any = Bench(lambda execution: execution.intra_op_threads == 2)
    ranked = race(bench, [("onnxruntime", "fp32")], 2, notes.append)
    assert {execution.intra_op_threads for execution in survivors(ranked)} == {1}
    assert all(note.startswith("onnxruntime fp32, 2 thread(s)") for note in notes)
    assert notes[0].endswith(": 2 threads are too many.")


def test_first_reason_is_reported_if_no_execution_runs() -> None:
    bench: Any = Bench(lambda _execution: True)
    with pytest.raises(NoWinnerError, match="No execution of the accepted precisions runs: 1 threads are too many"):
        race(bench, [("onnxruntime", "fp32")], 1, str)


def test_death_of_the_model_host_ends_the_race() -> None:
    class Dead(Bench):
        def speeds(self, entrants: Any, rounds: int) -> dict[Any, float]:
            raise MeasurementError("The host died.")

    bench: Any = Dead(None)
    with pytest.raises(MeasurementError):
        race(bench, [("onnxruntime", "fp32")], 1, str)


def test_service_that_fails_every_call_is_reported() -> None:
    class Refusing(Bench):
        def speeds(self, entrants: Any, rounds: int) -> dict[Any, float]:
            raise ServiceError("It fails.")

    bench: Any = Refusing(None)
    with pytest.raises(NoWinnerError, match="It fails"):
        race(bench, [("onnxruntime", "int8")], 1, str)


def test_close_executions_are_raced_again_and_ranked_by_that() -> None:
    class Noisy(Bench):
        """The first race is lucky for one thread; the second, with more rounds, is right."""

        def speeds(self, entrants: Any, rounds: int) -> dict[Any, float]:
            lucky = 1 if rounds == 2 else 2
            return {each: 1000.0 + 100.0 * (each.intra_op_threads == lucky) for each in entrants}

    bench: Any = Noisy(None)
    assert race(bench, [("torch", "fp32")], 2, str)[0]["execution"]["intra_op_threads"] == 2
