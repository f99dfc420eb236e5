"""The choice among finalists: tested in order, each at its share of alpha, until one is proved."""

import pytest

from optimizers.accuracy.finalists import first_proved
from optimizers.errors import StudyInputError

UPPERS = {"a": 0.03, "b": 0.01, "c": 0.0}


def prove(finalists, tolerance=0.01):
    asked = []

    def is_proved(finalist, alpha):
        asked.append((finalist, alpha))
        return UPPERS[finalist] <= tolerance

    return first_proved(finalists, is_proved), asked


def test_first_proved_finalist_is_accepted_and_later_ones_are_not_tested():
    found, asked = prove(["a", "b", "c"])
    assert found == "b"
    assert [finalist for finalist, _ in asked] == ["a", "b"]


def test_each_finalist_is_tested_at_its_share_of_alpha():
    _, asked = prove(["c", "b", "a"])
    assert asked == [("c", pytest.approx(0.05 / 3))]


def test_no_finalist_is_accepted_if_none_is_proved():
    found, asked = prove(["a", "b"], tolerance=0.005)
    assert found is None
    assert asked == [("a", 0.025), ("b", 0.025)]


def test_empty_list_of_finalists_is_refused():
    with pytest.raises(StudyInputError, match="1 finalist"):
        prove([])
