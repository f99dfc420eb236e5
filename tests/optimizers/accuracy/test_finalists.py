"""The decision among finalists: in order, each at its share of alpha, the first that holds."""

import pytest

from bento_monitor.statistics import DropBound
from optimizers.accuracy.finalists import finalist_alpha, prove_finalists
from optimizers.errors import StudyInputError

UPPERS = {"a": 0.03, "b": 0.01, "c": 0.0}


def prove(finalists, tolerance=0.01):
    asked = []

    def bound_of(finalist, alpha):
        asked.append((finalist, alpha))
        return DropBound(0.0, UPPERS[finalist], 100, "t", 1 - alpha)

    return prove_finalists(finalists, bound_of, tolerance=tolerance), asked


def test_the_first_whose_bound_is_within_the_tolerance_is_accepted_and_no_later_one_is_tested():
    proofs, asked = prove(["a", "b", "c"])
    assert [(proof.finalist, proof.is_accepted) for proof in proofs] == [("a", False), ("b", True)]
    assert [finalist for finalist, _ in asked] == ["a", "b"]


def test_each_is_tested_at_its_share_of_alpha_though_not_all_are_reached():
    _, asked = prove(["c", "b", "a"])
    assert asked == [("c", pytest.approx(0.05 / 3))]


def test_where_none_holds_none_is_accepted():
    proofs, _ = prove(["a", "b"], tolerance=0.005)
    assert [proof.is_accepted for proof in proofs] == [False, False]


def test_a_bound_that_is_no_number_is_not_accepted():
    proofs = prove_finalists(["x"], lambda _, alpha: DropBound(0.0, float("nan"), 2, "t", 1 - alpha), tolerance=1.0)
    assert not proofs[0].is_accepted


def test_no_finalist_is_refused():
    with pytest.raises(StudyInputError, match="1 finalist"):
        prove([])
    assert finalist_alpha(2) == 0.025
