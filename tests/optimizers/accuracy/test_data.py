from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimizers.accuracy.data import load_data
from optimizers.accuracy.metrics import parse_metric
from optimizers.errors import StudyInputError

RECALL = parse_metric("recall@10")
TEXTS = np.array(["a", "b", "c"])
LABELS = np.array(["x", "x", "y"])


def test_samples_and_labels_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "eval.npz", sentences=TEXTS, labels=LABELS, extra=np.zeros(1))
    data = load_data(tmp_path / "eval.npz", "sentences", RECALL)
    assert data.samples.tolist() == ["a", "b", "c"]
    assert data.labels.tolist() == ["x", "x", "y"]
    assert (data.source.path, data.source.array) == ((tmp_path / "eval.npz").resolve(), "sentences")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"texts": TEXTS, "labels": LABELS}, "'sentences' is missing"),
        ({"sentences": TEXTS}, "'labels' is missing"),
        ({"sentences": TEXTS, "labels": LABELS[:2]}, "3 samples.*2 labels"),
        ({"sentences": TEXTS[:0], "labels": LABELS[:0]}, "at least 2"),
        ({"sentences": np.zeros((3, 0)), "labels": LABELS}, "empty"),
        ({"sentences": np.array(1.0), "labels": LABELS}, "at least 2"),
        ({"sentences": np.array([[1.0], [np.nan], [3.0]]), "labels": LABELS}, "NaN.*row 1"),
        ({"sentences": np.array([[1.0], [2.0], [np.inf]]), "labels": LABELS}, "row 2"),
        ({"sentences": TEXTS, "labels": np.array([1.0, 2.0, 3.0])}, "float64.*recall@10"),
        ({"sentences": np.array(["2020"] * 3, dtype="datetime64[D]"), "labels": LABELS}, "datetime64"),
    ],
)
def test_data_that_cannot_be_used_is_answered_with_what_is_wrong(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "eval.npz", **arrays)
    with pytest.raises(StudyInputError, match=message):
        load_data(tmp_path / "eval.npz", "sentences", RECALL)


def test_a_pickled_array_is_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "it ran",))

    np.savez(tmp_path / "eval.npz", sentences=np.array([Trap()] * 3, dtype=object), labels=LABELS)
    with pytest.raises(StudyInputError, match="Pickled"):
        load_data(tmp_path / "eval.npz", "sentences", RECALL)
    np.array([Trap()], dtype=object).dump(tmp_path / "pickle.npz")
    with pytest.raises(StudyInputError, match="no .npz file"):
        load_data(tmp_path / "pickle.npz", "sentences", RECALL)
    assert not (tmp_path / "it ran").exists()


def test_a_file_that_is_missing_or_no_npz_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyInputError, match="no data file"):
        load_data(tmp_path / "none.npz", "sentences", RECALL)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(StudyInputError, match=r"no \.npz file"):
        load_data(tmp_path / "text.npz", "sentences", RECALL)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(StudyInputError, match="without a name"):
        load_data(tmp_path / "one.npy", "sentences", RECALL)
    np.savez(tmp_path / "cut.npz", sentences=TEXTS, labels=LABELS)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:150])
    with pytest.raises(StudyInputError, match=r"no \.npz file"):
        load_data(tmp_path / "cut.npz", "sentences", RECALL)
