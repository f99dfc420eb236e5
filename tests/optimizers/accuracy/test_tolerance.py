from __future__ import annotations

import pytest

from optimizers.accuracy.metrics import parse_metric
from optimizers.accuracy.tolerance import Tolerance, parse_tolerance
from optimizers.errors import StudyInputError


def test_tolerance_is_absolute_or_relative_to_the_baseline() -> None:
    assert parse_tolerance("0.01") == Tolerance(0.01)
    assert parse_tolerance(" 1 %") == parse_tolerance("1%") == Tolerance(0.01, is_relative=True)
    assert parse_tolerance("0.01").absolute(0.5) == 0.01
    assert parse_tolerance("1%").absolute(0.5) == pytest.approx(0.005)
    assert parse_tolerance("1%").absolute(-2.0) == pytest.approx(0.02)
    assert [str(parse_tolerance(text)) for text in ("0.01", "1%", "0.5%")] == ["0.01", "1%", "0.5%"]


def test_description_follows_the_metrics_direction() -> None:
    accuracy, error = parse_metric("accuracy"), parse_metric("mae")
    assert parse_tolerance("0.01").describe(accuracy) == "accuracy at most 0.01 lower"
    assert parse_tolerance("0.02").describe(error) == "mean_absolute_error at most 0.02 higher"
    assert parse_tolerance("1%").describe(error, 2.0) == "mean_absolute_error at most 1 % (0.02) higher"


@pytest.mark.parametrize("text", ["", "%", "-0.1", "nan", "inf", "101%", "a bit", "1%%"])
def test_invalid_tolerance_is_refused_with_examples(text: str) -> None:
    with pytest.raises(StudyInputError, match=r"such as 0\.01.*such as 1%"):
        parse_tolerance(text)


@pytest.mark.parametrize(
    ("text", "metric"), [("0", "accuracy"), ("0%", "mae"), ("5", "accuracy"), ("1", "roc_auc"), ("100%", "r2")]
)
def test_unprovable_or_unlimited_tolerance_is_refused(text: str, metric: str) -> None:
    with pytest.raises(StudyInputError, match=rf"--max-drop {text} .*such as 0\.01"):
        parse_tolerance(text).check(parse_metric(metric))


@pytest.mark.parametrize(("text", "metric"), [("0.99", "accuracy"), ("5", "mae"), ("100%", "mae"), ("2", "r2")])
def test_tolerance_below_the_most_a_metric_can_lose_is_accepted(text: str, metric: str) -> None:
    parse_tolerance(text).check(parse_metric(metric))


def test_relative_tolerance_of_a_baseline_of_0_is_refused() -> None:
    with pytest.raises(StudyInputError, match="baseline of 0"):
        parse_tolerance("1%").absolute(0.0)
