"""What each field asks beside the metric, computed from answers that are written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_spec import read_example
from field_report import field_figures

from bento_monitor.lab.model_host.answer_values import as_answers, write_answers


@pytest.fixture
def answers(tmp_path: Path) -> Any:
    """Return a function that writes answers as a study does, and returns the file."""

    def write(values: list[Any]) -> Path:
        write_answers(tmp_path / "answers.npz", np.arange(len(values)), as_answers(values))
        return tmp_path / "answers.npz"

    return write


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_calibration_of_probabilities_that_are_twice_too_high(answers: Any, tmp_path: Path) -> None:
    failed = [int(index % 10 == 0) for index in range(100)]
    data = lines(tmp_path / "eval.jsonl", [{"label": each} for each in failed])
    decisions = [{"id": f"{index}", "probability": 0.2, "approved": True} for index in range(100)]
    found = field_figures(read_example("loan_approval"), data, answers(decisions))
    assert found["mean probability"] == pytest.approx(0.2)
    assert found["share that failed"] == pytest.approx(0.1)
    assert found["calibration error"] == pytest.approx(0.1)
    assert found["Brier score"] == pytest.approx(0.1 * 0.64 + 0.9 * 0.04)


def test_lead_time_is_that_from_the_first_alarm_to_the_failure(answers: Any, tmp_path: Path) -> None:
    hour_s = 3600.0
    at_s = np.arange(40) * hour_s
    one = np.stack([at_s, np.full(40, 24 * hour_s), np.full(40, 40 * hour_s)], axis=1)
    np.savez(tmp_path / "eval.npz", labels=np.concatenate([one, one]), groups=np.repeat([0, 1], 40))
    scores = np.concatenate([at_s >= 30 * hour_s, at_s >= 26 * hour_s]).astype(float)
    scores[[3, 43]] = 0.5  # allowed: one for each day without wear
    found = field_figures(read_example("machine_failure"), tmp_path / "eval.npz", answers(scores.tolist()))
    assert found["hours from alarm to failure, median"] == pytest.approx((10 + 14) / 2)
    assert found["healthy pump-days"] == pytest.approx(2.0)
    assert found["false alarms a pump-day"] <= 1
    assert found["found with 5% of the life left"] == 1.0


def test_word_error_rate_is_told_by_voice(answers: Any, tmp_path: Path) -> None:
    rows = [
        {"label": "I object your honour", "speaker": "counsel"},
        {"label": "overruled", "speaker": "judge"},
        {"label": "I see", "speaker": "counsel"},
    ]
    data = lines(tmp_path / "eval.jsonl", rows)
    found = field_figures(read_example("court_transcription"), data, answers(["I object your Honor", "over", "I see"]))
    assert found == {"word error rate of counsel": 0.0, "word error rate of judge": 1.0}


def test_example_without_figures_of_its_own_has_none(tmp_path: Path) -> None:
    assert field_figures(read_example("digits"), tmp_path / "none", tmp_path / "none") == {}
