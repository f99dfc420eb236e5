from __future__ import annotations

from pathlib import Path

import pytest

from optimizers.errors import StudyInputError
from optimizers.search.trial_log import TrialLog, TrialOutcome

POINT = {"threads": 2, "precision": "onnxruntime fp32"}
OUTCOME = TrialOutcome(rps=100.0, p99_ms=9.0, failed=0, violation=-1.0)


def test_unfinished_trial_is_the_interrupted_one(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.json")
    assert log.interrupted is None
    log.begin(POINT)
    again = TrialLog(tmp_path / "trials.json")
    assert (again.interrupted, again.measured) == (POINT, [])
    again.end(OUTCOME)
    assert TrialLog(tmp_path / "trials.json").measured == [(POINT, OUTCOME)]
    assert TrialLog(tmp_path / "trials.json").interrupted is None


def test_new_trial_replaces_an_interrupted_one(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.json")
    log.begin({"threads": 1})
    TrialLog(tmp_path / "trials.json").begin(POINT)
    assert TrialLog(tmp_path / "trials.json").interrupted == POINT


@pytest.mark.parametrize("text", ["", '[{"parameters": {"thr', '[{"outcome": null}]', '[{"parameters": {}}]', "7"])
def test_damaged_log_is_refused_with_advice(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trials.json"
    path.write_text(text)
    with pytest.raises(StudyInputError, match="remove the file"):
        TrialLog(path)


def test_non_finite_outcome_is_never_written(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trials.json")
    log.begin(POINT)
    with pytest.raises(ValueError, match="JSON"):
        log.end(TrialOutcome(rps=float("inf"), p99_ms=1.0, failed=0, violation=0.0))
    assert TrialLog(tmp_path / "trials.json").interrupted == POINT
