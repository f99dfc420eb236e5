"""Samples that belong together: a bound over whole groups, halves of whole groups, and metrics defined on groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from optimizers.accuracy.compare import AccuracyResult, assess, compare_accuracy, require_enough
from optimizers.accuracy.copies import split_samples
from optimizers.accuracy.groups import group_numbers
from optimizers.accuracy.metrics import Metric, parse_metric
from optimizers.accuracy.reading import choose_reading
from optimizers.errors import StudyInputError

GROUPS = np.repeat(np.arange(40), 25)
FOUND_SHARE = '''
import numpy as np

def found(answers, labels, groups):
    """The share of groups of which at least one sample is found."""
    return np.mean([answers[groups == group].max() >= 0.5 for group in np.unique(groups)])

def rows(answers, labels, groups):
    return answers
'''


def compared(metric: Metric, baseline: Any, candidate: Any, labels: Any, **options: Any) -> AccuracyResult:
    reading = choose_reading(baseline, labels, metric)
    return compare_accuracy(baseline, candidate, labels, metric, reading, **options)


@pytest.fixture
def found_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Metric:
    (tmp_path / "found_share.py").write_text(FOUND_SHARE)
    return parse_metric("found_share:found", tmp_path)


@pytest.mark.parametrize("name", ["accuracy", "mae", "f1_macro"])
def test_whole_groups_that_fail_are_rarely_accepted(name: str) -> None:
    """Of each group all samples fail or none: the true drop is the tolerance, so each acceptance is wrong."""
    generator = np.random.default_rng(0)
    metric, tolerance, runs = parse_metric(name), 0.1, 200
    wrong = {True: 0, False: 0}
    for seed in range(runs):
        labels = np.tile([0, 1], 500)
        fails = generator.random(40)[GROUPS] < tolerance
        candidate = np.where(fails, 1 - labels, labels)
        if name == "mae":
            labels, candidate = labels.astype(float), candidate.astype(float)
        for is_grouped in wrong:
            groups = GROUPS if is_grouped else None
            wrong[is_grouped] += compared(metric, labels, candidate, labels, groups=groups, seed=seed).upper < tolerance
    assert wrong[True] <= 0.09 * runs  # 5 % are allowed, and the count has a spread
    assert wrong[False] > 0.2 * runs  # as if all samples were independent


def test_without_a_loss_the_bound_is_that_of_the_largest_group() -> None:
    labels = np.tile([0, 1], 500)
    equal = compared(parse_metric("accuracy"), labels, labels, labels, groups=GROUPS)
    assert (equal.n, equal.drop, equal.method) == (40, 0.0, "bootstrap")
    assert equal.upper == pytest.approx(-np.log(0.05) / 40)
    uneven = np.where(np.arange(1000) < 200, 0, 1 + GROUPS)
    larger = compared(parse_metric("accuracy"), labels, labels, labels, groups=group_numbers(uneven))
    assert larger.upper == pytest.approx(-np.log(0.05) * 200 / 1000)


def test_value_and_drop_do_not_depend_on_groups() -> None:
    generator = np.random.default_rng(1)
    labels, scores = generator.integers(0, 2, 1000), generator.random(1000)
    worse = scores + generator.normal(0, 0.1, 1000)
    for name in ("accuracy", "roc_auc"):
        metric = parse_metric(name)
        plain, grouped = (compared(metric, scores, worse.clip(0, 1), labels, groups=each) for each in (None, GROUPS))
        assert (plain.baseline, plain.drop) == (grouped.baseline, grouped.drop)
        assert (plain.n, grouped.n) == (1000, 40)


def test_message_counts_groups() -> None:
    labels = np.tile([0, 1], 500)
    metric = parse_metric("accuracy")
    found = assess(labels, labels, metric, choose_reading(labels, labels, metric), groups=GROUPS)
    with pytest.raises(StudyInputError, match=r"80 groups of samples cannot prove accuracy .* at least 600 are needed"):
        require_enough(found.n, metric, 0.01, found, share=0.5, unit="groups of samples")


def test_metric_of_three_parameters_gets_whole_groups_each_copy_with_its_own_number(found_share: Metric) -> None:
    generator = np.random.default_rng(2)
    labels = np.zeros(1000)
    answers = generator.random(1000) * 0.4
    answers[::25] = 1.0  # one sample of each group
    worse = answers.copy()
    worse[: 25 * 8] = 0.0  # eight of forty groups are not found
    result = compared(found_share, answers, worse, labels, groups=GROUPS)
    assert (result.baseline, result.candidate, result.n) == (1.0, 0.8, 40)
    error = np.sqrt(0.2 * 0.8 / 40)
    assert 0.2 + 1.5 * error < result.upper < 0.2 + 3 * error
    alone = compared(found_share, answers, worse, labels)  # without groups, each sample is its own
    assert (alone.n, alone.baseline) == (1000, pytest.approx(0.04))


def test_metric_of_groups_must_return_one_number(tmp_path: Path) -> None:
    (tmp_path / "of_rows.py").write_text(FOUND_SHARE)
    metric = parse_metric("of_rows:rows", tmp_path)
    with pytest.raises(StudyInputError, match="must return one"):
        compared(metric, np.ones(1000), np.ones(1000), np.ones(1000), groups=GROUPS)


def halves(labels: NDArray[Any] | None, groups: NDArray[Any], counts: list[int] | None = None) -> list[set[str]]:
    bodies = [f"{number}".encode() for number in range(len(groups))]
    sides = split_samples(bodies, counts or [len(groups)], labels, groups, seed=0)
    assert sum(map(len, sides)) == len(groups)
    return [set(groups[rows].tolist()) for rows in sides]


def test_no_group_is_on_both_sides() -> None:
    names = np.array([f"pump {number}" for number in GROUPS])
    choosing, proving = halves(np.tile([0, 1], 500), names)
    assert choosing.isdisjoint(proving)
    assert (len(choosing), len(proving)) == (20, 20)


def test_groups_of_one_class_are_split_by_class() -> None:
    names = np.array([f"patient {number:02d}" for number in GROUPS])
    labels = (GROUPS < 4).astype(int)
    for side in halves(labels, names):
        assert sum(int(name.split()[1]) < 4 for name in side) == 2


def test_group_in_both_files_is_refused() -> None:
    with pytest.raises(StudyInputError, match="The group 'b' is in --data and in --prove-data"):
        halves(None, np.array(["a", "b", "b", "c"]), [2, 2])


def test_one_group_is_not_split() -> None:
    with pytest.raises(StudyInputError, match="All samples are of one group"):
        halves(None, np.array(["a", "a", "a"]))


def test_equal_samples_of_two_groups_both_count() -> None:
    groups = np.array(["a", "a", "b", "b"])
    sides = split_samples([b"x"] * 4, [4], np.ones(4), groups, seed=0)
    assert sorted(np.concatenate(sides).tolist()) == [0, 2]
