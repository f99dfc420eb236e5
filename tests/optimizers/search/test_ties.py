"""The order of finalists: independent of the input order, and by preference only if speeds are tied."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento_monitor.errors import MeasurementError
from bento_monitor.serving_config import Batching, Execution
from optimizers.candidate import Candidate
from optimizers.search.ties import Finalist, rank_finalists


def candidate(*, window_ms: float = 0.0, threads: int = 1, size: int = 32, precision: str = "fp32") -> Candidate:
    return Candidate(Execution("onnxruntime", precision, threads), Batching(size, window_ms), 1)


def finalist(of: Candidate, rate: float = 100.0) -> Finalist:
    return Finalist(of, (rate,) * 6)


def rank(*finalists: Finalist, accuracy=None, dependence=None) -> list[Candidate]:
    scores, moved = accuracy or {}, dependence or {}
    return rank_finalists(
        finalists,
        lambda left, right: scores.get(left, 0.0) > scores.get(right, 0.0) + 0.005,
        lambda of: moved.get(of, 0.0),
    )


FULL, INT8, WINDOW, THREADS = (
    candidate(),
    candidate(precision="int8-dynamic-per-channel"),
    candidate(window_ms=5.0),
    (candidate(threads=4)),
)


def test_lead_of_over_three_percent_beats_accuracy():
    assert rank(finalist(INT8, 104.0), finalist(FULL), accuracy={FULL: 1.0}) == [INT8, FULL]
    assert rank(finalist(INT8, 102.9), finalist(FULL), accuracy={FULL: 1.0}) == [FULL, INT8]


def test_most_accurate_of_tied_finalists_is_first():
    found = rank(finalist(FULL, 102.0), finalist(WINDOW), accuracy={WINDOW: 1.0}, dependence={WINDOW: 0.5})
    assert found[0] == WINDOW


def test_batch_dependence_decides_only_beyond_a_hundredth():
    assert rank(finalist(FULL), finalist(WINDOW), dependence={FULL: 0.02})[0] == WINDOW
    assert rank(finalist(FULL), finalist(WINDOW), dependence={FULL: 0.009})[0] == FULL


def test_no_window_precedes_fewer_threads_and_these_precede_speed():
    assert rank(finalist(THREADS), finalist(WINDOW, 102.0)) == [THREADS, WINDOW]
    assert rank(finalist(THREADS, 102.0), finalist(FULL)) == [FULL, THREADS]


def test_speed_decides_if_nothing_else_differs():
    other = candidate(size=64)
    assert rank(finalist(FULL), finalist(other, 101.0)) == [other, FULL]


def test_batch_dependence_is_computed_only_for_ties():
    asked = []
    rank_finalists(
        [finalist(FULL), finalist(THREADS), finalist(INT8, 50.0)],
        lambda left, right: False,
        lambda of: asked.append(of) or 0.0,
    )
    assert set(asked) == {FULL, THREADS}


def test_cyclic_accuracy_comparisons_still_give_one_order():
    circle = [(FULL, INT8), (INT8, THREADS), (THREADS, FULL)]
    given_order = [finalist(FULL), finalist(INT8), finalist(THREADS)]
    orders = {
        tuple(rank_finalists(list(each), lambda left, right: (left, right) in circle, lambda of: 0.0))
        for each in itertools.permutations(given_order)
    }
    assert len(orders) == 1


def test_few_or_unequal_rounds_and_invalid_rates_are_refused():
    for other in (Finalist(INT8, (1.0,) * 5), Finalist(INT8, (1.0,) * 7)):
        with pytest.raises(MeasurementError, match="at least 6"):
            rank(Finalist(FULL, (1.0,) * 5), other)
    for bad in (0.0, math.inf, math.nan):
        with pytest.raises(MeasurementError, match="above 0"):
            rank(finalist(FULL), finalist(INT8, bad))


def test_single_finalist_needs_no_minimum_of_rounds():
    assert rank(Finalist(FULL, (1.0,))) == [FULL]
    assert rank() == []


CANDIDATES = [
    candidate(window_ms=window, threads=threads, precision=precision)
    for window in (0.0, 5.0)
    for threads in (1, 2)
    for precision in ("fp32", "int8-dynamic-per-channel")
]
FINALISTS = st.lists(
    st.tuples(st.sampled_from(CANDIDATES), st.floats(90, 110), st.floats(0, 0.02), st.floats(0, 0.04)),
    min_size=1,
    max_size=5,
    unique_by=lambda each: each[0],
)


@given(FINALISTS, st.randoms())
def test_order_is_complete_independent_of_input_order_and_follows_the_preferences(drawn, random):
    finalists = [finalist(of, rate) for of, rate, _, _ in drawn]
    accuracy = {of: score for of, _, score, _ in drawn}
    dependence = {of: moved for of, _, _, moved in drawn}
    rates = {of: rate for of, rate, _, _ in drawn}
    ranked = rank(*finalists, accuracy=accuracy, dependence=dependence)
    assert sorted(each.name for each in ranked) == sorted(each.candidate.name for each in finalists)
    random.shuffle(finalists)
    assert rank(*finalists, accuracy=accuracy, dependence=dependence) == ranked
    fastest = max(rates.values())
    assert rates[ranked[0]] >= fastest / 1.0301
    for earlier, later in itertools.combinations(ranked, 2):
        if rates[later] > fastest / 1.0299:
            assert not accuracy[later] > accuracy[earlier] + 0.005
        else:
            assert rates[later] <= rates[earlier] or rates[earlier] >= fastest / 1.0301
    tied = [of for of in ranked if rates[of] > fastest / 1.0301]
    best = [of for of in tied if not any(accuracy[other] > accuracy[of] + 0.005 for other in tied)]
    assert ranked[0] in best


@given(FINALISTS)
def test_removing_the_first_finalist_keeps_the_order_of_the_rest(drawn):
    finalists = [finalist(of) for of, *_ in drawn]
    accuracy = {of: score for of, _, score, _ in drawn}
    dependence = {of: moved for of, _, _, moved in drawn}
    ranked = rank(*finalists, accuracy=accuracy, dependence=dependence)
    rest = [each for each in finalists if each.candidate != ranked[0]]
    assert rank(*rest, accuracy=accuracy, dependence=dependence) == ranked[1:]
