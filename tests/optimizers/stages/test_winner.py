"""The accuracy of a winner: failing to answer refuses the winner, so that the next finalist is tried."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bento_monitor.errors import MeasurementError, ReleaseError, ServiceError
from bento_monitor.serving_config import Batching, Execution
from optimizers.candidate import Candidate
from optimizers.errors import StudyInputError
from optimizers.stages.winner import winner_accuracy

WINNER = Candidate(Execution("onnxruntime", "int8", 1), Batching(8, 0.0), 1)


def bench_that_raises(error: Exception) -> Any:
    def raises(*_args: Any) -> Any:
        raise error

    return SimpleNamespace(yardstick=lambda: None, contender=lambda _execution: None, answers_rebatched=raises)


@pytest.mark.parametrize("error", [StudyInputError("NaN"), ServiceError("It fails."), ReleaseError("3 calls fail.")])
def test_winner_that_cannot_answer_has_only_an_error(error: Exception) -> None:
    assert winner_accuracy(bench_that_raises(error), WINNER, 0.05) == {"error": str(error)}


def test_death_of_the_model_host_ends_the_study() -> None:
    with pytest.raises(MeasurementError):
        winner_accuracy(bench_that_raises(MeasurementError("The host died.")), WINNER, 0.05)
